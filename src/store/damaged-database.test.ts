// What a database that cannot be used does to a start: a clear refusal, and nothing changed.
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkDatabaseFile } from './check-database.ts';
import { findMicrovm } from './microvms.ts';
import { openStore } from './open-store.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'waterbear-damaged-'));
  path = join(directory, 'waterbear.db');
  const sqlite = new SqliteDatabase(path);
  sqlite.exec(readFileSync(join(import.meta.dirname, 'testing', 'schema-009.sql'), 'utf8'));
  sqlite.close();
  await using _ = await openStore(path);
});
afterEach(() => rmSync(directory, { recursive: true }));

function flip(offset: number): void {
  const bytes = readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x10;
  writeFileSync(path, bytes);
}

/** The page of a table's root, from SQLite itself. */
function rootOffset(table: string): number {
  const sqlite = new SqliteDatabase(path, { readonly: true });
  const page = sqlite.prepare('select rootpage from sqlite_master where name = ?').pluck().get(table) as number;
  sqlite.close();
  return (page - 1) * 4096;
}

/** As a server that was killed leaves it: a log with content. */
async function cutOff(): Promise<void> {
  const copy = join(directory, 'copy');
  mkdirSync(copy);
  const sqlite = new SqliteDatabase(path);
  sqlite.pragma('journal_mode = WAL');
  sqlite.exec("update microvms set state_reason = 'written last' where microvm_id = 'microvm-running'");
  for (const suffix of ['', '-wal']) copyFileSync(`${path}${suffix}`, join(copy, `waterbear.db${suffix}`));
  sqlite.close();
  for (const suffix of ['', '-wal']) copyFileSync(join(copy, `waterbear.db${suffix}`), `${path}${suffix}`);
  expect(statSync(`${path}-wal`).size).toBeGreaterThan(0);
}

test('what was committed before a kill is there after it, and the log is gone after an orderly stop', async () => {
  await cutOff();
  const store = await openStore(path);
  expect((await findMicrovm(store.db, 'microvm-running'))?.stateReason).toBe('written last');
  await store.close();
  expect(statSync(`${path}-wal`, { throwIfNoEntry: false })).toBeUndefined();
});

test('a file that is no database, and one whose first page is damaged, are refused as they are', async () => {
  flip(3);
  const before = readFileSync(path);
  await expect(openStore(path)).rejects.toMatchObject({ code: 'database_damaged' });
  await expect(openStore(path)).rejects.toThrow(/waterbear.db is damaged \(.*Restore a backup/);
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(checkDatabaseFile(path).problems[0]).toContain('not a database');
});

test('a damaged page is found at the start after a kill, and by a check at any time', async () => {
  const offset = rootOffset('usage_intervals');
  flip(offset);
  expect(checkDatabaseFile(path).problems.length).toBeGreaterThan(0);
  writeFileSync(`${path}-wal`, 'x', { flag: 'a' });
  await expect(openStore(path)).rejects.toMatchObject({ code: 'database_damaged' });
});

test('a bit in the text of a row that SQLite cannot know is found by the ledger', () => {
  const bytes = readFileSync(path);
  const at = bytes.lastIndexOf('suspended123456789012');
  expect(at).toBeGreaterThan(0);
  flip(at + 'suspended'.length);
  expect(checkDatabaseFile(path).problems.join()).toContain('Usage interval');
});

test('a directory in its place and a path that cannot be made say what is missing', async () => {
  const other = join(directory, 'other.db');
  mkdirSync(other);
  await expect(openStore(other)).rejects.toMatchObject({ code: 'missing_right' });
  chmodSync(path, 0o600);
  await expect(openStore(join(path, 'below.db'))).rejects.toThrow('below.db could not be opened');
});
