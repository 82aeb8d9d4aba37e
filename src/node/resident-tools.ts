// What the MicroVMs of a host work with.
import type { EndReason } from '../contract/node-api.ts';
import type { Log } from '../lib/log.ts';
import type { SlotPool } from '../net/slot.ts';
import type { Driver } from '../vmm/driver.ts';
import type { Admission } from './admission/admission.ts';
import type { Cleaning } from './cleaning.ts';
import type { Journal } from './journal.ts';
import type { NodeLayout } from './layout.ts';

export interface ResidentTools {
  driver: Driver;
  slots: SlotPool | undefined;
  layout: NodeLayout;
  admission: Admission;
  journal: Journal;
  cleaning: Cleaning;
  log: Log;
  /** The end of the host: nothing starts any more, and what is being started ends. */
  closing: AbortSignal;
  /** Called when the MicroVM has ended and nobody asked for that. With `asleep` its last snapshot is left, and it with that. */
  onEnded(microvmId: string, reason: EndReason, asleep: boolean): void;
}
