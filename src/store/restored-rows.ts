// Rows as they have to be after a backup was restored: nothing runs, and what has a snapshot sleeps.
import { changeMicrovm, listLiveMicrovms, type MicrovmChange } from './microvms.ts';
import { inTransaction } from './open-store.ts';
import type { Database, MicrovmRow } from './tables.ts';

export interface RestoredTimes {
  /** When the backup was made: until then everything was as its rows say. */
  backupMs: number;
  nowMs: number;
}

/**
 * `snapshots`: when the newest snapshot of each MicroVM that has one was taken. The time between backup and restore counts neither as
 * age nor as sleep, or policies would end everything at once; usage goes on over it. Resolves with the ids that sleep and that have ended.
 */
export function settleRestored(
  db: Database,
  snapshots: ReadonlyMap<string, number>,
  times: RestoredTimes,
): Promise<{ asleep: string[]; ended: string[] }> {
  return inTransaction(db, async (trx) => {
    const done = { asleep: [] as string[], ended: [] as string[] };
    for (const row of await listLiveMicrovms(trx)) {
      const takenMs = snapshots.get(row.microvmId);
      // Whoever starts on this data finishes these.
      if (row.state === 'TERMINATING' || (row.state === 'PENDING' && row.launchedAtMs === null)) continue;
      if (takenMs === undefined) {
        await apply(trx, row, [ended(times)], times);
        done.ended.push(row.microvmId);
        continue;
      }
      await apply(trx, row, asleep(row, takenMs, times), times);
      const startedAtMs = row.startedAtMs + Math.max(0, times.nowMs - times.backupMs);
      await trx.updateTable('microvms').set({ startedAtMs }).where('microvmId', '=', row.microvmId).execute();
      done.asleep.push(row.microvmId);
    }
    return done;
  });
}

async function apply(trx: Database, before: MicrovmRow, changes: MicrovmChange[], { backupMs }: RestoredTimes) {
  let row = before;
  for (const change of changes) {
    const next = await changeMicrovm(trx, row, change, backupMs);
    if (!next) throw new Error(`${row.microvmId} cannot become ${change.state}`);
    row = next;
  }
}

const ended = ({ backupMs }: RestoredTimes): MicrovmChange => ({
  state: 'TERMINATED',
  wish: 'TERMINATED',
  stateReason: `Restored from a backup of ${iso(backupMs)}, which has no snapshot of it.`,
  terminatedAtMs: backupMs,
});

function asleep(row: MicrovmRow, takenMs: number, { backupMs, nowMs }: RestoredTimes): MicrovmChange[] {
  const sleeps = { state: 'SUSPENDED', wish: 'SUSPENDED', suspendedAtMs: nowMs } as const;
  if (row.state === 'SUSPENDED') return [sleeps];
  const stateReason = `Restored from a backup of ${iso(backupMs)}; it continues from its snapshot of ${iso(takenMs)}, what happened after that is lost.`;
  // Nobody asked for this sleep: any request wakes it.
  const falls = { ...sleeps, stateReason, suspendCause: 'shutdown' } as const;
  return row.state === 'RUNNING' ? [{ state: 'SUSPENDING', wish: 'SUSPENDED' }, falls] : [falls];
}

const iso = (ms: number): string => new Date(ms).toISOString();
