// Rows of each state after a restore, with and without a snapshot.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkDatabaseFile } from './check-database.ts';
import { findMicrovm } from './microvms.ts';
import { openStore } from './open-store.ts';
import { settleRestored } from './restored-rows.ts';

const second = (n: number): number => 1_767_225_700_000 + n * 1000;
const times = { backupMs: second(100), nowMs: second(1_000_000) };
const ids = ['pending', 'running', 'suspending', 'suspended', 'terminating'].map((name) => `microvm-${name}`);
let directory: string;
let path: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'waterbear-restored-'));
  path = join(directory, 'waterbear.db');
  const sqlite = new SqliteDatabase(path);
  sqlite.exec(readFileSync(join(import.meta.dirname, 'testing', 'schema-009.sql'), 'utf8'));
  sqlite.close();
});
afterEach(() => rmSync(directory, { recursive: true }));

async function restored(snapshots: ReadonlyMap<string, number>) {
  await using store = await openStore(path);
  const done = await settleRestored(store.db, snapshots, times);
  const rows = [];
  for (const id of ids) rows.push(await findMicrovm(store.db, id));
  expect(checkDatabaseFile(path).problems).toEqual([]);
  return { done, rows };
}

test('with a snapshot everything sleeps, as old as it was when the backup was made', async () => {
  const { done, rows } = await restored(new Map(ids.map((id) => [id, second(50)])));
  expect(done).toEqual({ asleep: ['microvm-running', 'microvm-suspending', 'microvm-suspended'], ended: [] });
  expect(rows.map((row) => row?.state)).toEqual(['PENDING', 'SUSPENDED', 'SUSPENDED', 'SUSPENDED', 'TERMINATING']);
  const [, running, , suspended] = rows;
  const later = times.nowMs - times.backupMs;
  expect(running).toMatchObject({
    ...{ wish: 'SUSPENDED', suspendCause: 'shutdown', suspendedAtMs: times.nowMs, startedAtMs: second(0) + later },
    stateReason: expect.stringMatching(/backup of 2026-01-01T00:03:20.000Z; .* snapshot of 2026-01-01T00:02:30.000Z/),
  });
  // Whoever asked for its sleep has asked for it still.
  expect(suspended).toMatchObject({ suspendCause: 'requested', suspendedAtMs: times.nowMs, stateReason: null });
});

test('without one it has ended when the backup was made, and what was never launched will be', async () => {
  const { done, rows } = await restored(new Map());
  expect(done.asleep).toEqual([]);
  expect(rows.map((row) => row?.state)).toEqual(['PENDING', 'TERMINATED', 'TERMINATED', 'TERMINATED', 'TERMINATING']);
  expect(rows[1]).toMatchObject({
    terminatedAtMs: times.backupMs,
    stateReason: expect.stringContaining('no snapshot'),
  });
});
