// Rows of MicroVMs that ended long ago. What they used stays in the books.
import { inTransaction } from './open-store.ts';
import type { Database } from './tables.ts';

export async function countEndedBefore(db: Database, beforeMs: number): Promise<number> {
  const { count } = await db
    .selectFrom('microvms')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('state', '=', 'TERMINATED')
    .where('terminatedAtMs', '<', beforeMs)
    .executeTakeFirstOrThrow();
  return count;
}

/** Removes the rows of at most `limit` MicroVMs with the client tokens that made them, oldest first. Resolves with how many there were. */
export function removeEndedBefore(db: Database, beforeMs: number, limit: number): Promise<number> {
  return inTransaction(db, async (trx) => {
    const rows = await trx
      .selectFrom('microvms')
      .select('microvmId')
      .where('state', '=', 'TERMINATED')
      .where('terminatedAtMs', '<', beforeMs)
      .orderBy('terminatedAtMs')
      .limit(limit)
      .execute();
    if (rows.length === 0) return 0;
    const ids = rows.map(({ microvmId }) => microvmId);
    await trx.deleteFrom('idempotency').where('operation', '=', 'RunMicrovm').where('resource', 'in', ids).execute();
    await trx.deleteFrom('microvms').where('microvmId', 'in', ids).execute();
    return ids.length;
  });
}
