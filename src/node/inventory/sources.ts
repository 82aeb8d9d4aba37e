// What an inventory asks of the host whose it is.
import { join } from 'node:path';
import type { SlotPool } from '../../net/slot.ts';
import type { Driver } from '../../vmm/driver.ts';
import type { NodeLayout } from '../layout.ts';

/** A MicroVM as its host holds it. */
export interface HeldMicrovm {
  /** It sleeps and nothing is under way with it: what its newest snapshot does not name is nobody's. */
  atRest: boolean;
  /** Its run directory, there while it runs. */
  run: string;
}

export interface InventorySources {
  layout: NodeLayout;
  driver: Driver;
  /** Absent for the fake driver. */
  slots: SlotPool | undefined;
  held(): ReadonlyMap<string, HeldMicrovm>;
  /** Ids of the builds under way. */
  builds(): ReadonlySet<string>;
  /** Time by the clock that dates files, milliseconds since the epoch. */
  fileTime(): number;
}

/** Paths below the run directory that belong to something. */
export function runsInUse({ layout, held, builds }: InventorySources): Set<string> {
  const ofMicrovms = [...held().values()].map(({ run }) => run);
  const ofBuilds = [...builds()].map((buildId) => join(layout.run, `b-${buildId.slice(0, 8)}`));
  return new Set([layout.journal, ...ofMicrovms, ...ofBuilds]);
}
