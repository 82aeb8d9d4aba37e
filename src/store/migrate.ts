// Brings the tables up to date: all missing migrations in one transaction, or none.
import SqliteDatabase from 'better-sqlite3';
import type { Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { Fault } from '../lib/errors.ts';
import { migrations } from './migrations/index.ts';
import { asOpenFault } from './open-faults.ts';
import type { Tables } from './tables.ts';

/**
 * Rejects with `newer_data` when a version that knows more migrations has written the database, and with what a migration threw; the database is then
 * as it was before. Kysely would run each migration by itself and without a transaction.
 */
export async function migrate(
  sqlite: SqliteDatabase.Database,
  db: Kysely<Tables>,
  path: string,
  known: Record<string, Migration> = migrations,
): Promise<void> {
  refuseNewer(sqlite, path, known);
  const migrator = new Migrator({
    db: db.withoutPlugins(),
    provider: { getMigrations: () => Promise.resolve(known) },
  });
  sqlite.exec('begin immediate');
  try {
    const { error } = await migrator.migrateToLatest();
    if (error !== undefined) throw error;
    sqlite.exec('commit');
  } catch (error) {
    if (sqlite.inTransaction) sqlite.exec('rollback');
    throw error;
  }
}

/** Throws `newer_data` when a version that knows more migrations has written the file, or what is said of one that cannot be opened. */
export function refuseNewerFile(path: string): void {
  let sqlite: SqliteDatabase.Database | undefined;
  try {
    sqlite = new SqliteDatabase(path, { readonly: true, fileMustExist: true, timeout: 5_000 });
    refuseNewer(sqlite, path, migrations);
  } catch (error) {
    throw asOpenFault(path, error);
  } finally {
    sqlite?.close();
  }
}

function refuseNewer(sqlite: SqliteDatabase.Database, path: string, known: Record<string, Migration>): void {
  const newest = executed(sqlite)
    .filter((name) => !(name in known))
    .at(-1);
  if (newest === undefined) return;
  throw new Fault('newer_data', { file: path, found: newest, known: Object.keys(known).at(-1) });
}

/** Names of the migrations that have been run, oldest first. */
export function executed(sqlite: SqliteDatabase.Database): string[] {
  const table = sqlite.prepare("select 1 from sqlite_master where type = 'table' and name = 'kysely_migration'").get();
  if (!table) return [];
  return sqlite.prepare('select name from kysely_migration order by name').pluck().all() as string[];
}
