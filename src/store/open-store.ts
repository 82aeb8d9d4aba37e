// Opens the database of one server and brings its tables up to date.
import { chmodSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { CamelCasePlugin, Kysely } from 'kysely';
import { makeDirectory, syncPath } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { structureProblems } from './check-database.ts';
import { DurableDialect } from './dialect.ts';
import { migrate } from './migrate.ts';
import { asOpenFault } from './open-faults.ts';
import { keepSpace } from './space-reserve.ts';
import type { Database, Tables } from './tables.ts';

export interface Store extends AsyncDisposable {
  readonly db: Database;
  close(): Promise<void>;
}

/** The log of a database that is never read for long stays below this: after a large transaction it is cut down to it. */
const walLimitBytes = 16 << 20;

/**
 * `path` is a file, or `:memory:` for tests. Rejects with `database_damaged`, `newer_data`, `missing_right`, `conflict`, `disk_full`, `disk_failed`, or `internal`
 * when the tables cannot be brought up to date; the database is then as it was.
 */
export async function openStore(path: string): Promise<Store> {
  let sqlite: SqliteDatabase.Database | undefined;
  try {
    if (path !== ':memory:') await makeDirectory(dirname(path));
    sqlite = openDatabase(path);
    const db = new Kysely<Tables>({
      dialect: new DurableDialect(sqlite),
      plugins: [new CamelCasePlugin()],
    });
    await migrate(sqlite, db, path);
    if (path !== ':memory:') keepSpace(sqlite);
    // SQLite syncs what is in its files; that they are there is ours.
    if (path !== ':memory:') await syncPath(dirname(path));
    const close = (): Promise<void> => db.destroy();
    return { db, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    sqlite?.close();
    throw asOpenFault(path, error);
  }
}

function openDatabase(path: string): SqliteDatabase.Database {
  const isFile = path !== ':memory:';
  const wasCutOff = isFile && hasLog(path);
  const sqlite = new SqliteDatabase(path);
  try {
    // It holds secret keys; SQLite gives its log files the same mode.
    if (isFile) chmodSync(path, 0o600);
    // What was answered is on the disk: in WAL mode FULL syncs the log at every commit.
    sqlite.pragma('journal_mode = WAL');
    sqlite.pragma('synchronous = FULL');
    sqlite.pragma(`journal_size_limit = ${walLimitBytes}`);
    sqlite.pragma('foreign_keys = ON');
    sqlite.pragma('busy_timeout = 5000');
    // After an orderly stop there is nothing to expect; the scrubber looks at everything anyway.
    const problems = wasCutOff ? structureProblems(sqlite, 'quick') : [];
    if (problems.length > 0) throw new Fault('database_damaged', { file: path, why: problems.slice(0, 3).join('; ') });
    return sqlite;
  } catch (error) {
    sqlite.close();
    throw error;
  }
}

/** SQLite removes its log when the last connection is closed: one with content means that the last server did not get to that. */
const hasLog = (path: string): boolean => (statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0;

/** Runs `work` in a transaction; joins the one `db` already is. `work` awaits nothing but queries. */
export function inTransaction<T>(db: Database, work: (trx: Database) => Promise<T>): Promise<T> {
  return db.isTransaction ? work(db) : db.transaction().execute(work);
}
