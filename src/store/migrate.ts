// Brings the tables up to date: all missing migrations in one transaction, or none.
import type SqliteDatabase from 'better-sqlite3';
import type { Kysely } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { Fault } from '../lib/errors.ts';
import { migrations } from './migrations/index.ts';
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
  const newer = executed(sqlite).filter((name) => !(name in known));
  const newest = Object.keys(known).at(-1);
  if (newer.length > 0) {
    throw new Fault('newer_data', { file: path, found: newer.at(-1), known: newest });
  }
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

/** Names of the migrations that have been run, oldest first. */
function executed(sqlite: SqliteDatabase.Database): string[] {
  const table = sqlite.prepare("select 1 from sqlite_master where type = 'table' and name = 'kysely_migration'").get();
  if (!table) return [];
  return sqlite.prepare('select name from kysely_migration order by name').pluck().all() as string[];
}
