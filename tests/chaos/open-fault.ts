// The fault of a run, set up in its scratch directory.
import { type FaultKit, noFault } from './faults.ts';
import type { Fault } from './plan.ts';
import { rebootFault } from './reboot.ts';
import { makeSmallDisk } from './small-disk.ts';

export interface OpenedFault extends FaultKit {
  /** Where the data directory must be, if not in the scratch directory itself. */
  readonly directory?: string;
  /** Milliseconds between the server's clock and the machine's. */
  readonly clockOffset?: () => number;
}

export async function openFault(fault: Fault | undefined, scratch: string, _seed: number): Promise<OpenedFault> {
  if (fault === 'reboot') return rebootFault;
  if (fault === 'disk-full') return makeSmallDisk(scratch);
  if (fault === undefined) return noFault;
  throw new Error(`${fault} is not there yet`);
}
