// Room that the database has already, for the day when the disk is full: to end a MicroVM is to write rows, and ending some is how there comes to be room again.
// It lies in SQLite's own files, where nobody else can take it: free pages of the database, and a log that is long already and is written over from its beginning.
import type SqliteDatabase from 'better-sqlite3';

/** As many as the log has when SQLite copies it into the database; enough for hundreds of changes. */
const reservePages = 1000;

/** Writes the reserve where it is missing. Without room for it there is none: that is no reason not to start. */
export function keepSpace(sqlite: SqliteDatabase.Database): void {
  const bytes = Number(sqlite.pragma('page_size', { simple: true })) - 100;
  try {
    // A row takes a page, a free one where there is one, and goes through the log; dropped, it leaves its page free.
    sqlite.exec(`
      create table if not exists space_reserve (filler blob);
      with recursive page (n) as (select 1 union all select n + 1 from page where n < ${reservePages})
      insert into space_reserve select zeroblob(${bytes}) from page;
      drop table space_reserve;
    `);
    sqlite.pragma('wal_checkpoint(RESTART)');
  } catch {
    if (sqlite.inTransaction) sqlite.exec('rollback');
  }
}
