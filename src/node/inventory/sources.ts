// What an inventory asks of the host whose it is.
import type { SlotPool } from '../../net/slot.ts';
import type { Driver } from '../../vmm/driver.ts';
import type { NodeLayout } from '../layout.ts';

/** A MicroVM as its host holds it. */
export interface HeldMicrovm {
  /** It sleeps and nothing is under way with it: what its newest snapshot does not name is nobody's. */
  atRest: boolean;
  /** Name of its run directory while it runs, is being started, or may have to be taken over. */
  run?: string;
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

/** Names of the run directories that belong to something. */
export function runsInUse({ held, builds }: InventorySources): Set<string> {
  const ofMicrovms = [...held().values()].flatMap(({ run }) => (run === undefined ? [] : [run]));
  return new Set([...ofMicrovms, ...[...builds()].map(buildRun)]);
}

/** Name of the run directory of a build's VMs. */
export const buildRun = (buildId: string): string => `b-${buildId.slice(0, 8)}`;
