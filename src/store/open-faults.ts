// What SQLite says when a database cannot be opened, in words for whoever has to do something about it.
import SqliteDatabase from 'better-sqlite3';
import { describe, Fault } from '../lib/errors.ts';

/** A Fault stays as it is; what is none and not SQLite's becomes `internal`. */
export function asOpenFault(path: string, error: unknown): Fault {
  if (error instanceof Fault) return error;
  const code = error instanceof SqliteDatabase.SqliteError ? error.code : ((error as NodeJS.ErrnoException).code ?? '');
  const why = describe(error);
  const what = `The database ${path} could not be opened`;
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code)) return new Fault('database_damaged', { file: path, why }, error);
  if (code === 'ENOSPC' || code === 'SQLITE_FULL') {
    return new Fault('capacity_exhausted', { what: `${what}: its disk is full. Free some space there.` }, error);
  }
  if (/^(SQLITE_(READONLY|CANTOPEN|PERM)|EACCES|EPERM|EROFS)/.test(code)) {
    const next = 'See who owns it and whether its file system is writable.';
    return new Fault(
      'missing_right',
      { what: `Opening the database ${path}`, right: `to read and write there (${why})`, next },
      error,
    );
  }
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return new Fault('conflict', { what: `${what}: another process keeps it locked.` }, error);
  }
  if (/^SQLITE_IOERR|^EIO/.test(code)) {
    return new Fault(
      'internal',
      { what: `${what}: its disk does not read or write (${why}). Look at the kernel's log.` },
      error,
    );
  }
  return new Fault('internal', { what: `${what}, or not be brought up to date: ${why}.` }, error);
}
