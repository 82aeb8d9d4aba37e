// Work with a guest that is pointless once its VM has ended.
import { pause, unlessAborted } from '../lib/deadline.ts';
import { type Fault, isFault } from '../lib/errors.ts';
import type { Machine, MachineEnd } from './driver.ts';

/** A guest that ends makes calls to it fail a moment before its end is known. */
const lastWordMs = 500;

/**
 * Resolves as `work` does. Rejects with `faultOf` the end when the VM ends first, and with `aborted` on `signal`; the work itself goes on until its
 * own calls fail.
 */
export async function unlessItEnds<T>(
  machine: Pick<Machine, 'ended'>,
  faultOf: (end: MachineEnd) => Fault,
  work: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const ended = machine.ended.then((end): never => {
    throw faultOf(end);
  });
  ended.catch(() => {});
  const working = work();
  working.catch(() => {});
  try {
    return await unlessAborted(signal, 'The call to the guest', Promise.race([working, ended]));
  } catch (error) {
    // The end says more than the call that failed by it.
    if (isFault(error, 'guest_failed')) await Promise.race([ended, pause(lastWordMs)]);
    throw error;
  }
}
