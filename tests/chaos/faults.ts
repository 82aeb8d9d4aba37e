// What else goes wrong in a run beside kills: each is a kit with the same four handles.
import type { Round } from './plan.ts';
import type { World } from './world.ts';

export interface FaultKit {
  readonly name: 'none' | 'disk-full' | 'eio' | 'clock' | 'reboot';
  /** Starts the server instead of `waterbear serve`, with the same arguments. */
  readonly entry: string | undefined;
  /** Beside those that every server gets. */
  serverArguments(round: Round | undefined): string[];
  /** While the acts of a round are under way; `at` resolves at a moment of the round. Resolves when the fault has begun. */
  begin(round: Round, at: (ms: number) => Promise<void>): Promise<void>;
  /** Between the server's death and its restart. */
  afterKill(world: World): Promise<void>;
  /** Once, at the end of the run. */
  close(): Promise<void>;
}

export const noFault: FaultKit = {
  name: 'none',
  entry: undefined,
  serverArguments: () => [],
  begin: async () => {},
  afterKill: async () => {},
  close: async () => {},
};
