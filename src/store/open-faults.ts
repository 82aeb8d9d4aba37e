// What SQLite says when a database cannot be opened, in words for whoever has to do something about it.
import { diskFault } from '../lib/disk-faults.ts';
import { describe, Fault, isFault } from '../lib/errors.ts';

const damage = /^SQLITE_(CORRUPT|NOTADB)/;

/** A Fault stays as it is; what is neither SQLite's nor the system's becomes `internal`. */
export function asOpenFault(path: string, error: unknown): Fault {
  const found = isFault(error, 'disk_failed') ? String(error.facts.why) : '';
  if (isFault(error) && !damage.test(found)) return error;
  const code = found || ((error as NodeJS.ErrnoException).code ?? '');
  const why = describe(error);
  if (damage.test(code)) return new Fault('database_damaged', { file: path, why }, error);
  if (/^(SQLITE_(READONLY|CANTOPEN|PERM)|EACCES|EPERM|EROFS|EISDIR)/.test(code)) {
    const facts = {
      what: `Opening the database ${path}`,
      right: `to read and write there (${why})`,
      next: 'See who owns it, and whether its file system is writable.',
    };
    return new Fault('missing_right', facts, error);
  }
  if (/^SQLITE_(BUSY|LOCKED)/.test(code)) {
    return new Fault('conflict', { what: `The database ${path} is kept locked by another process.` }, error);
  }
  const fault = diskFault(error, path);
  if (isFault(fault)) return fault;
  const what = `The database ${path} could not be opened or brought up to date: ${why}.`;
  return new Fault('internal', { what }, error);
}
