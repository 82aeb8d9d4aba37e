// One look at everything in a database: SQLite's own structures, references between rows, the usage ledger. It takes as long as reading
// the whole file, and the thread that does it does nothing else.
import SqliteDatabase from 'better-sqlite3';
import { describe } from '../lib/errors.ts';
import { checkChain, checkNoted, checkTiles } from './check-ledger.ts';
import { emptyLedger, type LedgerHead } from './ledger.ts';
import { executed } from './migrate.ts';
import { ledgerMigration } from './migrations/index.ts';

export interface DatabaseCheck {
  /** Sentences; empty when all is well. */
  problems: string[];
  /** As written down. Compare it with one that was noted elsewhere: the ledger only ever grows. */
  ledger: LedgerHead;
  /** An earlier version wrote it, and no server has brought it up to date yet: it has no ledger, and usage was not looked at. */
  isOld: boolean;
}

const maxProblems = 20;

/** Reads a file that a server may be writing at the same time. Never changes it; never throws. `noted`: a head that the ledger must go through. */
export function checkDatabaseFile(path: string, noted?: LedgerHead): DatabaseCheck {
  let sqlite: SqliteDatabase.Database | undefined;
  try {
    sqlite = new SqliteDatabase(path, { readonly: true, fileMustExist: true, timeout: 5_000 });
    // Says at once what every look would say.
    sqlite.pragma('schema_version');
    return checkDatabase(sqlite, noted);
  } catch (error) {
    return { problems: [`It cannot be read: ${describe(error)}.`], ledger: emptyLedger, isOld: false };
  } finally {
    sqlite?.close();
  }
}

/** `quick` leaves out what needs the indexes compared with their tables; then nothing of ours is looked at either. */
export function structureProblems(sqlite: SqliteDatabase.Database, depth: 'quick' | 'full'): string[] {
  const pragma = depth === 'quick' ? `quick_check(${maxProblems})` : `integrity_check(${maxProblems})`;
  try {
    const said = sqlite.prepare(`pragma ${pragma}`).pluck().all() as string[];
    return said.length === 1 && said[0] === 'ok' ? [] : said;
  } catch (error) {
    return [describe(error)];
  }
}

export function checkDatabase(sqlite: SqliteDatabase.Database, noted?: LedgerHead): DatabaseCheck {
  const problems = structureProblems(sqlite, 'full');
  let ledger = emptyLedger;
  let isOld = false;
  const look = (what: string, work: () => string[]): void => {
    try {
      problems.push(...work());
    } catch (error) {
      problems.push(`${what} cannot be read: ${describe(error)}.`);
    }
  };
  // One state of the rows for all that follows.
  sqlite.exec('begin');
  look('References', () => brokenReferences(sqlite));
  look('The list of migrations', () => {
    const names = executed(sqlite);
    isOld = names.length > 0 && !names.includes(ledgerMigration);
    return names.length > 0 ? [] : ['It has none of the tables that a server makes.'];
  });
  if (!isOld) {
    look('The usage ledger', () => {
      const { head, problems: found } = checkChain(sqlite);
      ledger = head;
      return found;
    });
    look('Usage intervals', () => checkTiles(sqlite));
  }
  // Also of an old one, which cannot go through any.
  if (noted) look('The usage ledger', () => checkNoted(sqlite, noted));
  sqlite.exec('rollback');
  return { problems: problems.slice(0, maxProblems), ledger, isOld };
}

function brokenReferences(sqlite: SqliteDatabase.Database): string[] {
  const rows = sqlite.pragma('foreign_key_check') as { table: string; rowid: number; parent: string }[];
  return rows.map(({ table, rowid, parent }) => `Row ${rowid} of ${table} refers to a row of ${parent} that is gone.`);
}
