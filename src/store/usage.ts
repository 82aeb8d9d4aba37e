// Usage intervals: opened and closed in the transaction that changes the state, so that the ledger cannot leak.
import type { MicrovmState, UsageKind } from '../contract/states.ts';
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
    .select(['kind', 'startMs'])
    .where('microvmId', '=', row.microvmId)
    .where('endMs', 'is', null)
    .executeTakeFirst();
  if (open?.kind === wanted) return;
  // A wall clock that was set back must not make an interval of negative length, nor a gap before the next.
  const boundaryMs = Math.max(atMs, open?.startMs ?? atMs);
  if (open) {
    await trx
      .updateTable('usageIntervals')
      .set({ endMs: boundaryMs })
      .where('microvmId', '=', row.microvmId)
      .where('endMs', 'is', null)
      .execute();
  }
  if (wanted === 'nothing') return;
  const { microvmId, account, imageArn, memoryMib } = row;
  await trx
    .insertInto('usageIntervals')
    .values({ microvmId, account, imageArn, memoryMib, kind: wanted, startMs: boundaryMs, endMs: null })
    .execute();
}

/** All intervals of one MicroVM, oldest first. */
export const listUsage = (db: Database, microvmId: string): Promise<UsageIntervalRow[]> =>
  db.selectFrom('usageIntervals').selectAll().where('microvmId', '=', microvmId).orderBy('startMs').execute();
