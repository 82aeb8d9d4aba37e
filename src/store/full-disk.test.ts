// The database on a disk that is full: what `max_page_count` refuses is refused as SQLITE_FULL, like by the file system.
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { Kysely, sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { listAccessKeys } from './access-keys.ts';
import { DurableDialect } from './dialect.ts';
import { inTransaction, openStore } from './open-store.ts';
import type { Database } from './tables.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-store-'));
});
afterEach(() => rm(directory, { recursive: true }));

const pragma = async (db: Database, text: string): Promise<number> => {
  const { rows } = await sql.raw<Record<string, number>>(`pragma ${text}`).execute(db);
  return Object.values(rows[0] ?? {})[0] ?? -1;
};

test('a change that finds no room is a Fault and leaves nothing, and the next one works when there is room', async () => {
  await using store = await openStore(join(directory, 'waterbear.db'));
  const { db } = store;
  await sql`create table big (content blob)`.execute(db);
  const change = (bytes: number): Promise<unknown> =>
    inTransaction(db, async (trx) => {
      await sql`insert into big values ('small')`.execute(trx);
      await sql`insert into big values (zeroblob(${bytes}))`.execute(trx);
    });
  await pragma(db, `max_page_count = ${await pragma(db, 'page_count')}`);
  await expect(change(64 << 20)).rejects.toMatchObject({
    code: 'disk_full',
    facts: { file: expect.stringMatching(/\/waterbear\.db$/) },
  });
  expect((await sql<{ n: number }>`select count(*) n from big`.execute(db)).rows).toEqual([{ n: 0 }]);
  expect(await listAccessKeys(db)).toEqual([]);
  await change(10);
  await pragma(db, 'max_page_count = 1000000');
  await change(64 << 20);
  expect((await sql<{ n: number }>`select count(*) n from big`.execute(db)).rows).toEqual([{ n: 4 }]);
});

test('there is room in the files of the database for what must be written on a full disk, after each start', async () => {
  const path = join(directory, 'waterbear.db');
  const sizes = async (): Promise<number[]> =>
    Promise.all(['', '-wal'].map(async (end) => (await stat(path + end)).size));
  let first: number[] = [];
  for (let start = 0; start < 3; start++) {
    await using store = await openStore(path);
    expect(await pragma(store.db, 'freelist_count')).toBeGreaterThan(900);
    const before = await sizes();
    expect(before[1]).toBeGreaterThan(4_000_000);
    for (let i = 0; i < 100; i++)
      await sql`insert into idempotency values (${`${start} ${i}`}, 'x', 'y', 'z', 'r', 0)`.execute(store.db);
    expect(await sizes()).toEqual(before);
    first = first.length === 0 ? before : first;
    expect(before[0]).toBe(first[0]);
  }
});

test('an error that has rolled back already is told, not that there is nothing to roll back', async () => {
  const sqlite = new SqliteDatabase(join(directory, 'other.db'));
  const db = new Kysely<never>({ dialect: new DurableDialect(sqlite) }) as unknown as Database;
  await sql`create table t (a integer primary key)`.execute(db);
  const failing = inTransaction(db, async (trx) => {
    await sql`insert into t values (1)`.execute(trx);
    await sql`insert or rollback into t values (1)`.execute(trx);
  });
  await expect(failing).rejects.toMatchObject({ code: 'SQLITE_CONSTRAINT_PRIMARYKEY' });
  await inTransaction(db, (trx) => sql`insert into t values (2)`.execute(trx));
  await db.destroy();
});
