// Things without an owner, seen from both sides: what the host has and no record wants, and what a record promises and the host does not have.
import type { ThingKind } from '../../contract/inventory.ts';

/** `record`: a MicroVM that only its row knows. `version`: of an image, without files. */
export type OrphanKind = ThingKind | 'record' | 'version';

export interface Orphan {
  /** `KIND:NAME`, by which it can be reaped. */
  id: string;
  kind: OrphanKind;
  /** Path, or name. */
  where: string;
  /** Sentences: why nobody owns it, and what reaping does. */
  why: string;
  cleaning: string;
  ageMs: number;
  bytes: number;
  /** Somebody's work may be in it: no policy removes it, and reaping has to name it. */
  holdsState: boolean;
  microvmId?: string;
  buildId?: string;
  account?: string;
}
