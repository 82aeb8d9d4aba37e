// Databases of all earlier versions, kept as SQL with rows in every state, are brought up to date with their meaning.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { Kysely, SqliteDialect, sql } from 'kysely';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkDatabaseFile } from './check-database.ts';
import { changeMicrovm, findMicrovm, listMicrovms } from './microvms.ts';
import { migrate } from './migrate.ts';
import { migrations } from './migrations/index.ts';
import { openStore } from './open-store.ts';
import { readSecret } from './secrets.ts';
import type { Tables } from './tables.ts';
import { listUsage } from './usage.ts';

const account = '123456789012';
const second = (n: number): number => 1_767_225_700_000 + n * 1000;
let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'waterbear-schemas-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function oldDatabase(number: string): string {
  const path = join(directory, 'waterbear.db');
  const sqlite = new SqliteDatabase(path);
  sqlite.exec(readFileSync(join(import.meta.dirname, 'testing', `schema-${number}.sql`), 'utf8'));
  sqlite.close();
  return path;
}

const tables = (path: string): unknown => {
  const sqlite = new SqliteDatabase(path, { readonly: true });
  const all = sqlite.prepare('select type, name, sql from sqlite_master order by name').all();
  const rows = sqlite.prepare('select * from microvms order by microvm_id').all();
  sqlite.close();
  return { all, rows };
};

test.each(['005', '006', '007', '008', '009'])('from schema %s to the newest one', async (number) => {
  const path = oldDatabase(number);
  await using store = await openStore(path);
  const { db } = store;
  const states = (await listMicrovms(db, { account, limit: 100 })).map((row) => [
    ...[row.microvmId.slice('microvm-'.length), row.state, row.wish, row.generation, row.launchedAtMs],
  ]);
  expect(states.sort()).toEqual([
    ['failed', 'TERMINATED', 'TERMINATED', 2, null],
    ['pending', 'PENDING', 'RUNNING', 1, null],
    ['running', 'RUNNING', 'RUNNING', 2, second(1)],
    ['suspended', 'SUSPENDED', 'SUSPENDED', 8, second(1)],
    ['suspending', 'SUSPENDING', 'SUSPENDED', 3, second(1)],
    ['terminated', 'TERMINATED', 'TERMINATED', 4, second(1)],
    ['terminating', 'TERMINATING', 'TERMINATED', 3, second(1)],
  ]);
  expect(await findMicrovm(db, 'microvm-running')).toMatchObject({
    ...{ runHookPayload: 'payload', maxIdleSeconds: 60, suspendedSeconds: 600, autoResume: 1 },
    leaseUntilMs: number === '009' ? 1_767_229_300_000 : null,
  });
  expect(await db.selectFrom('images').select(['name', 'state', 'tags']).where('name', '=', 'demo').execute()).toEqual([
    { name: 'demo', state: 'UPDATED', tags: '{"team":"demo"}' },
  ]);
  const builds = await db.selectFrom('builds').select(['buildId', 'state']).orderBy('buildId').limit(5).execute();
  expect(builds.map(({ state }) => state)).toEqual(['SUCCESSFUL', 'FAILED', 'IN_PROGRESS', 'PENDING', 'FAILED']);
  expect((await listUsage(db, 'microvm-suspended')).map(({ kind, startMs, endMs }) => [kind, startMs, endMs])).toEqual([
    ['running', second(1), second(10)],
    ['suspended', second(10), second(30)],
    ['running', second(30), second(40)],
    ['suspended', second(40), null],
  ]);
  expect(await readSecret(db, 'cursor')).toMatch(number >= '008' ? /^(ab){32}$/ : /^[0-9a-f]{64}$/);
  expect(await db.selectFrom('accessKeys').select('secret').executeTakeFirst()).toEqual({
    secret: 'secret-of-the-fixture',
  });
  expect(checkDatabaseFile(path)).toMatchObject({ problems: [], ledger: { count: 7 } });
  await changeMicrovm(db, { microvmId: 'microvm-running', generation: 2 }, { state: 'TERMINATED' }, second(50));
  expect(checkDatabaseFile(path)).toMatchObject({ problems: [], ledger: { count: 8 } });
});

test('a migration that fails leaves the database as it was, for the version before and for another attempt', async () => {
  const path = oldDatabase('005');
  const before = tables(path);
  const broken = {
    ...migrations,
    '999-broken': {
      up: async (db: Kysely<unknown>): Promise<void> => {
        await sql`delete from microvms`.execute(db).catch(() => {});
        await sql`create table half (a integer)`.execute(db);
        throw new Error('the power went');
      },
    },
  };
  const sqlite = new SqliteDatabase(path);
  const db = new Kysely<Tables>({ dialect: new SqliteDialect({ database: sqlite }) });
  await expect(migrate(sqlite, db, path, broken)).rejects.toThrow('the power went');
  await db.destroy();
  expect(tables(path)).toEqual(before);
  await using store = await openStore(path);
  expect((await findMicrovm(store.db, 'microvm-running'))?.state).toBe('RUNNING');
});

test('a database of a newer version is refused and left alone', async () => {
  const path = oldDatabase('009');
  const sqlite = new SqliteDatabase(path);
  sqlite.exec("insert into kysely_migration values ('999-future', '2030-01-01')");
  sqlite.close();
  const before = tables(path);
  await expect(openStore(path)).rejects.toMatchObject({ code: 'newer_data' });
  await expect(openStore(path)).rejects.toThrow('999-future');
  expect(tables(path)).toEqual(before);
});
