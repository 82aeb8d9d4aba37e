// What a client token created, so that a repeated call answers again instead of acting again.
import type { Database, IdempotencyRow } from './tables.ts';

type Key = Pick<IdempotencyRow, 'account' | 'operation' | 'token'>;

export const findIdempotency = (db: Database, key: Key): Promise<IdempotencyRow | undefined> =>
  db
    .selectFrom('idempotency')
    .selectAll()
    .where('account', '=', key.account)
    .where('operation', '=', key.operation)
    .where('token', '=', key.token)
    .executeTakeFirst();

/** Records what a token created, in the place of what it created before. */
export async function putIdempotency(db: Database, row: IdempotencyRow): Promise<void> {
  const { fingerprint, resource, createdAtMs } = row;
  await db
    .insertInto('idempotency')
    .values(row)
    .onConflict((conflict) =>
      conflict.columns(['account', 'operation', 'token']).doUpdateSet({ fingerprint, resource, createdAtMs }),
    )
    .execute();
}
