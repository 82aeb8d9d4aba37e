// One thing that can be collected: why, and what collecting it does.
import type { AppContext } from '../context.ts';

/** What decided that it goes. */
export type Policy = 'keep-suspended' | 'keep-versions' | 'keep-ended' | 'keep-logs' | 'orphan' | 'cache';

export interface Piece {
  policy: Policy;
  /** `KIND:NAME`. */
  id: string;
  where: string;
  why: string;
  /** What collecting it does. */
  cleaning: string;
  bytes: number;
}

export interface Planned extends Piece {
  /** Resolves with a sentence when it could not be done. */
  collect(): Promise<string | undefined>;
}

/** Has the host remove one thing. Resolves as `Planned.collect` does. */
export async function discardOne(app: AppContext, id: string): Promise<string | undefined> {
  const [discarded] = await app.node.discard([id]);
  return discarded?.why;
}
