// Accounts and access keys.
import { Fault } from '../lib/errors.ts';
import { inTransaction } from './open-store.ts';
import type { AccessKeyRow, AccountRow, Database } from './tables.ts';

/** Idempotent. Rejects with `conflict` for a second account: image builds of different accounts are not yet kept apart. */
export function createAccount(db: Database, row: AccountRow): Promise<void> {
  return inTransaction(db, async (trx) => {
    const accounts = await trx.selectFrom('accounts').select('account').execute();
    if (accounts.some(({ account }) => account === row.account)) return;
    const [first] = accounts;
    if (first) {
      throw new Fault('conflict', {
        what: `This server belongs to account ${first.account}. A second account (${row.account}) needs builds in a VM of their own, which this version does not have.`,
      });
    }
    await trx.insertInto('accounts').values(row).execute();
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
