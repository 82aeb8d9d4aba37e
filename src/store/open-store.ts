// Opens the database of one server and brings its tables up to date.
import { chmodSync } from 'node:fs';
import { dirname } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { CamelCasePlugin, Kysely } from 'kysely';
import { Migrator } from 'kysely/migration';
import { makeDirectory, syncPath } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { DurableDialect } from './dialect.ts';
import { migrations } from './migrations/index.ts';
import { keepSpace } from './space-reserve.ts';
import type { Database, Tables } from './tables.ts';

export interface Store extends AsyncDisposable {
  readonly db: Database;
  close(): Promise<void>;
}

/** `path` is a file, or `:memory:` for tests. Rejects with `internal` when the tables cannot be brought up to date. */
export async function openStore(path: string): Promise<Store> {
  if (path !== ':memory:') await makeDirectory(dirname(path));
  const sqlite = new SqliteDatabase(path);
  // It holds secret keys; SQLite gives its log files the same mode.
  if (path !== ':memory:') chmodSync(path, 0o600);
  sqlite.pragma('journal_mode = WAL');
  sqlite.pragma('synchronous = FULL');
  sqlite.pragma('foreign_keys = ON');
  sqlite.pragma('busy_timeout = 5000');
  const db = new Kysely<Tables>({
    dialect: new DurableDialect(sqlite),
    plugins: [new CamelCasePlugin()],
  });
  const close = (): Promise<void> => db.destroy();
  const migrator = new Migrator({
    db: db.withoutPlugins(),
    provider: { getMigrations: () => Promise.resolve(migrations) },
  });
  const { error } = await migrator.migrateToLatest();
  if (error !== undefined) {
    await close();
    throw new Fault('internal', { what: `The database ${path} could not be brought up to date.` }, error);
  }
  if (path !== ':memory:') keepSpace(sqlite);
  // SQLite syncs what is in its files; that they are there is ours.
  if (path !== ':memory:') await syncPath(dirname(path));
  return { db, close, [Symbol.asyncDispose]: close };
}

/** Runs `work` in a transaction; joins the one `db` already is. `work` awaits nothing but queries. */
export function inTransaction<T>(db: Database, work: (trx: Database) => Promise<T>): Promise<T> {
  return db.isTransaction ? work(db) : db.transaction().execute(work);
}
