// What a start finds of one MicroVM, in the journal and on the disk.
import { pause } from '../lib/deadline.ts';
import { describe } from '../lib/errors.ts';
import type { JournalEntry } from './journal.ts';
import type { ResidentTools } from './resident-tools.ts';
import { holdsNothingElse, newestGeneration, readRecord, type VmRecord } from './vm-record.ts';

export interface Found {
  microvmId: string;
  /** Undefined also when it cannot be read. */
  entry: JournalEntry | undefined;
  record: VmRecord | undefined;
  /** Number of the newest snapshot. */
  newest: number;
  /** What has its name may be somebody else's: this host wrote nothing there that could be known. */
  isForeign?: boolean;
  /** Why the disk does not say. */
  unreadable?: string;
}

const attempts = 3;
const attemptPauseMs = 1000;

/** Rejects with `aborted` at the end of the host. */
export async function findMicrovm({ journal, layout, log, closing }: ResidentTools, microvmId: string): Promise<Found> {
  const entry = await journal.read(microvmId);
  for (let attempt = 1; ; attempt++) {
    try {
      const record = await readRecord(layout, microvmId);
      const newest = await newestGeneration(layout, microvmId);
      const isForeign = !entry && !record && newest === 0 && !(await holdsNothingElse(layout, microvmId));
      return { microvmId, entry, record, newest, isForeign };
    } catch (error) {
      const unreadable = describe(error);
      log.error('microvm_not_readable', { microvmId, attempt, why: unreadable });
      if (attempt === attempts) return { microvmId, entry, record: undefined, newest: 0, unreadable };
      await pause(attempt * attemptPauseMs, closing);
    }
  }
}

/** Of one whose VM was not adopted; undefined when it did not run any more. */
export function whyGone({ entry, newest }: Found): string | undefined {
  if (!entry) return 'What the host had noted about it could not be read.';
  if (newest > entry.from || entry.act === 'end') return undefined;
  if (entry.act === 'launch' || entry.act === 'wake') return 'The server ended while it was being started.';
  return 'Its files or its network were gone when the server started again.';
}
