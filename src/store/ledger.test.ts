// Whatever is changed in intervals by hand or by accident is found, and named.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkDatabaseFile } from './check-database.ts';
import { checkInThread } from './check-in-thread.ts';
import { type ClosedInterval, chained, emptyLedger } from './ledger.ts';
import { changeMicrovm } from './microvms.ts';
import { openStore } from './open-store.ts';

let directory: string;
let path: string;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'waterbear-ledger-'));
  path = join(directory, 'waterbear.db');
  edit(readFileSync(join(import.meta.dirname, 'testing', 'schema-009.sql'), 'utf8'));
  await using _ = await openStore(path);
});
afterEach(() => rmSync(directory, { recursive: true }));

function edit(statements: string): void {
  const sqlite = new SqliteDatabase(path);
  sqlite.exec(statements);
  sqlite.close();
}

const first = (): string | undefined => checkDatabaseFile(path).problems[0];

test.each([
  ['its MicroVM', "microvm_id = 'microvm-running'"],
  ['its kind', "kind = 'suspended'"],
  ['its account', "account = '210987654321'"],
  ['its image', "image_arn = image_arn || 'x'"],
  ['its memory', 'memory_mib = 511'],
  ['its start', 'start_ms = start_ms - 1'],
  ['its end', 'end_ms = end_ms + 1'],
  ['its checksum', "checksum = 'ff' || substr(checksum, 3)"],
])('an interval with %s edited is named', (_, change) => {
  edit(`update usage_intervals set ${change} where seq = 4`);
  expect(first()).toMatch(
    /^Usage interval 4 of MicroVM \S+ \(from 2026-01-01T00:0\d:\d\d.\d{3}Z\) is not what was written/,
  );
});

test('an interval that is gone, also the last one, and one that was added', () => {
  const sqlite = new SqliteDatabase(path, { readonly: true });
  const last = sqlite.prepare('select * from usage_intervals where seq = 7').get() as Record<string, unknown>;
  sqlite.close();
  edit('delete from usage_intervals where seq = 7');
  expect(first()).toContain('The usage ledger ends at interval 6; its head says 7');
  edit('delete from usage_intervals where seq = 2');
  expect(first()).toContain('Usage interval 2 is gone: the next one is 3 of MicroVM');
  const { seq: _seq, checksum: _checksum, ...columns } = last;
  const values = Object.values(columns).map((value) => (typeof value === 'string' ? `'${value}'` : String(value)));
  edit(`insert into usage_intervals (${Object.keys(columns).join()}) values (${values.join()})`);
  expect(first()).toContain('has no place in the ledger');
  edit('delete from usage_ledger');
  expect(first()).toBe('The row with the head of the usage ledger is gone.');
});

test.each([
  ['update usage_intervals set start_ms = start_ms + 1 where end_ms is null', 'microvm-suspended', 'there is a gap'],
  ['update usage_intervals set start_ms = start_ms - 1 where end_ms is null', 'microvm-suspended', 'two overlap'],
  ["update microvms set state = 'RUNNING'", 'microvm-suspended', 'it is RUNNING, and the open one is suspended'],
  ['update microvms set launched_at_ms = null', 'microvm-suspended', 'it was never launched'],
  ['update microvms set launched_at_ms = 1', 'microvm-suspended', 'it was launched at 1970-01-01T00:00:00.001Z'],
  ['update microvms set launched_at_ms = 1', 'microvm-failed', 'and there is none'],
  ['delete from usage_intervals where end_ms is null', 'microvm-running', 'and the open one is nothing'],
])('%s', (statement, microvmId, why) => {
  edit(`${statement} ${statement.includes('where') ? 'and' : 'where'} microvm_id = '${microvmId}'`);
  const { problems } = checkDatabaseFile(path);
  expect(problems).toHaveLength(1);
  expect(problems[0]).toMatch(
    new RegExp(`^The usage intervals of MicroVM ${microvmId} do not tile its life: .*${why}`),
  );
});

/** As somebody would who knows how the chain is made. */
function recompute(): void {
  const sqlite = new SqliteDatabase(path);
  const rows = sqlite
    .prepare<[], ClosedInterval & { seq: number }>(
      `select seq, microvm_id as "microvmId", kind, account, image_arn as "imageArn", memory_mib as "memoryMib",
       start_ms as "startMs", end_ms as "endMs" from usage_intervals where seq is not null order by seq`,
    )
    .all();
  let head = emptyLedger;
  for (const { seq, ...interval } of rows) {
    head = chained(head, interval);
    sqlite
      .prepare('update usage_intervals set seq = ?, checksum = ? where seq = ?')
      .run(head.count, head.checksum, seq);
  }
  sqlite.prepare('update usage_ledger set count = ?, checksum = ?').run(head.count, head.checksum);
  sqlite.close();
}

test('a chain that was computed anew no longer goes through a head that was noted before', () => {
  const { ledger: noted } = checkDatabaseFile(path);
  const at = (): string[] => checkDatabaseFile(path, noted).problems;
  expect(at()).toEqual([]);
  expect(checkDatabaseFile(path, emptyLedger).problems).toEqual([]);
  edit('update usage_intervals set memory_mib = 511 where seq = 4');
  recompute();
  expect(checkDatabaseFile(path).problems).toEqual([]);
  expect(at()).toEqual(['At interval 7 the usage ledger is another one than the noted head says.']);
  edit('delete from usage_intervals where seq = 7');
  recompute();
  expect(at()).toContain('The usage ledger does not reach the noted head, which is of interval 7.');
  edit("delete from kysely_migration where name > '010'");
  expect(at()).not.toEqual([]);
});

test('the head goes on with each interval that is closed, and not with those that fail', async () => {
  const before = checkDatabaseFile(path).ledger;
  {
    await using store = await openStore(path);
    const running = { microvmId: 'microvm-running', generation: 2 };
    await changeMicrovm(store.db, running, { state: 'SUSPENDING' }, 1_767_225_800_000);
    expect(checkDatabaseFile(path).ledger).toEqual(before);
    await changeMicrovm(store.db, { ...running, generation: 3 }, { state: 'SUSPENDED' }, 1_767_225_801_000);
    await changeMicrovm(store.db, { ...running, generation: 3 }, { state: 'TERMINATED' }, 1_767_225_802_000);
  }
  const { ledger, problems } = await checkInThread(path);
  expect([ledger.count, problems]).toEqual([before.count + 1, []]);
  expect(ledger.checksum).not.toBe(before.checksum);
});
