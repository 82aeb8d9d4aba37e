// Accounts and access keys.
import { Fault } from '../lib/errors.ts';
import { inTransaction } from './open-store.ts';
import type { AccessKeyRow, AccountRow, Database } from './tables.ts';

/**
 * Idempotent. Rejects with `conflict` when the accounts would be more than one while builds run on the host, where strangers' Dockerfiles
 * are not kept apart.
 */
export function createAccount(
  db: Database,
  row: AccountRow,
  options: { buildIsolation: 'vm' | 'host' },
): Promise<void> {
  return inTransaction(db, async (trx) => {
    const accounts = await trx.selectFrom('accounts').select('account').orderBy('createdAtMs').execute();
    const others = accounts.filter(({ account }) => account !== row.account);
    const [first] = others;
    if (first && options.buildIsolation === 'host') {
      throw new Fault('conflict', {
        what:
          `This server has account ${first.account}, and with ${row.account} more than one, but builds run on the host (--build-isolation host), ` +
          'where the Dockerfile of one account could reach what belongs to another. Start it with --build-isolation vm.',
      });
    }
    if (others.length === accounts.length) await trx.insertInto('accounts').values(row).execute();
  });
}

/** Creates the key or replaces its secret. */
export async function putAccessKey(db: Database, row: AccessKeyRow): Promise<void> {
  await db
    .insertInto('accessKeys')
    .values(row)
    .onConflict((conflict) => conflict.column('accessKeyId').doUpdateSet({ account: row.account, secret: row.secret }))
    .execute();
}

export const findAccessKey = (db: Database, accessKeyId: string): Promise<AccessKeyRow | undefined> =>
  db.selectFrom('accessKeys').selectAll().where('accessKeyId', '=', accessKeyId).executeTakeFirst();

export const listAccessKeys = (db: Database): Promise<AccessKeyRow[]> =>
  db.selectFrom('accessKeys').selectAll().orderBy('createdAtMs').orderBy('accessKeyId').execute();
