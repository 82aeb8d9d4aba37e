// The VM of one MicroVM, from an earlier server to this one.
import { join } from 'node:path';
import { pause } from '../lib/deadline.ts';
import { describe } from '../lib/errors.ts';
import type { Slot } from '../net/slot.ts';
import type { Machine } from '../vmm/driver.ts';
import { vmPaths } from './layout.ts';
import type { ResidentTools } from './resident-tools.ts';
import type { VmRecord } from './vm-record.ts';

const attempts = 3;
const attemptPauseMs = 1000;

/** A VM that was not taken over. */
export class Lost {
  /** As a sentence. */
  readonly why: string;
  /** Whether its VMM has still to be ended. */
  readonly lives: boolean;

  constructor(why: string, lives: boolean) {
    this.why = why;
    this.lives = lives;
  }
}

/** Takes over the VM of this record, running from its newest snapshot. Rejects with `aborted` at the end of the host. */
export async function adoptVm(
  { driver, layout, closing: signal, log }: ResidentTools,
  { microvmId, buildId }: VmRecord,
  newest: number,
  slot: Slot | undefined,
): Promise<Machine | Lost> {
  const paths = vmPaths(layout, microvmId);
  const snapshot = newest > 0 ? { snapshot: paths.snapshot(newest) } : {};
  const where = { runDirectory: paths.run, image: join(layout.images, buildId), disks: paths.disks, ...snapshot };
  const order = { ...where, ...(slot ? { wire: slot } : {}), signal };
  for (let attempt = 1; ; attempt++) {
    try {
      const machine = await driver.adopt(order);
      return machine ?? new Lost('Its virtual machine monitor ended while the server was not running.', false);
    } catch (error) {
      // It lives, and what was in the way may pass.
      const why = describe(error);
      log.error('microvm_not_adopted', { microvmId, attempt, why });
      if (attempt === attempts) {
        return new Lost(`The server that was started again could not take it over: ${why}`, true);
      }
      await pause(attempt * attemptPauseMs, signal);
    }
  }
}
