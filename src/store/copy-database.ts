// A copy of a database that a server may be writing: one state of all rows, in a single file.
import SqliteDatabase from 'better-sqlite3';
import { diskFault } from '../lib/disk-faults.ts';
import { reclaim } from '../lib/durable-file.ts';
import { Fault, isFault } from '../lib/errors.ts';
import { checkDatabaseFile } from './check-database.ts';
import type { LedgerHead } from './ledger.ts';
import { asOpenFault } from './open-faults.ts';

/** More than any database has: a copy in many steps begins anew with every write in between. */
const allPages = 2 ** 31 - 1;

/** Resolves with the head of the usage ledger. Rejects with `database_damaged` when the copy is; nothing is left then. Not synced. */
export async function copyDatabase(from: string, to: string): Promise<LedgerHead> {
  const source = openQuietly(from, { readonly: true, fileMustExist: true, timeout: 5_000 });
  try {
    await source.backup(to, { progress: () => allPages });
  } catch (error) {
    throw asOpenFault(isFull(error) ? to : from, error);
  } finally {
    source.close();
  }
  const copy = openQuietly(to);
  // The copy is one file: there is no log beside it to be forgotten.
  copy.pragma('journal_mode = DELETE');
  copy.close();
  // It holds secret keys.
  await reclaim(to);
  const { problems, ledger } = checkDatabaseFile(to);
  if (problems.length === 0) return ledger;
  throw new Fault('database_damaged', { file: from, why: problems.slice(0, 3).join(' ') });
}

const isFull = (error: unknown): boolean => isFault(diskFault(error, ''), 'disk_full');

function openQuietly(path: string, options?: SqliteDatabase.Options): SqliteDatabase.Database {
  try {
    return new SqliteDatabase(path, options);
  } catch (error) {
    throw asOpenFault(path, error);
  }
}
