// Usage intervals: opened and closed in the transaction that changes the state, so that the ledger cannot leak.
import type { MicrovmState, UsageKind } from '../contract/states.ts';
import { appendToLedger } from './ledger.ts';
import type { Database, MicrovmRow, UsageIntervalRow } from './tables.ts';

/**
 * What a MicroVM uses in each state. `keep`: what was in use stays in use: a MicroVM that is being suspended still
 * computes, one that is being resumed still occupies its snapshot, one that is being launched uses nothing yet.
 */
const usageOf: Record<MicrovmState, UsageKind | 'keep' | 'nothing'> = {
  PENDING: 'keep',
  RUNNING: 'running',
  SUSPENDING: 'keep',
  SUSPENDED: 'suspended',
  TERMINATING: 'nothing',
  TERMINATED: 'nothing',
};

/** Call inside the transaction that has just written `row`. */
export async function recordUsage(trx: Database, row: MicrovmRow, atMs: number): Promise<void> {
  const wanted = usageOf[row.state];
  if (wanted === 'keep') return;
  const open = await trx
    .selectFrom('usageIntervals')
    .select(['kind', 'account', 'imageArn', 'memoryMib', 'startMs'])
    .where('microvmId', '=', row.microvmId)
    .where('endMs', 'is', null)
    .executeTakeFirst();
  if (open?.kind === wanted) return;
  // A wall clock that was set back must not make an interval of negative length, nor a gap before the next; the first begins with the launch.
  const boundaryMs = open ? Math.max(atMs, open.startMs) : (row.launchedAtMs ?? atMs);
  const { microvmId, account, imageArn, memoryMib } = row;
  if (open) {
    const { count: seq, checksum } = await appendToLedger(trx, { ...open, microvmId, endMs: boundaryMs });
    await trx
      .updateTable('usageIntervals')
      .set({ endMs: boundaryMs, seq, checksum })
      .where('microvmId', '=', row.microvmId)
      .where('endMs', 'is', null)
      .execute();
  }
  if (wanted === 'nothing') return;
  const interval = { microvmId, kind: wanted, account, imageArn, memoryMib, startMs: boundaryMs };
  await trx
    .insertInto('usageIntervals')
    .values({ ...interval, endMs: null, seq: null, checksum: null })
    .execute();
}

/** All intervals of one MicroVM, oldest first. */
export const listUsage = (db: Database, microvmId: string): Promise<UsageIntervalRow[]> =>
  db.selectFrom('usageIntervals').selectAll().where('microvmId', '=', microvmId).orderBy('startMs').execute();
