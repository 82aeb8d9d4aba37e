import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type MicrovmState, microvmTransitions } from '../contract/states.ts';
import { createAccount, findAccessKey, putAccessKey } from './access-keys.ts';
import { insertBuild } from './builds.ts';
import { insertImageVersion } from './image-versions.ts';
import { insertImage } from './images.ts';
import { toJson } from './json.ts';
import { changeMicrovm, findMicrovm, insertMicrovm, listMicrovms } from './microvms.ts';
import { openStore } from './open-store.ts';
import type { Database, MicrovmRow } from './tables.ts';
import { listUsage } from './usage.ts';

const imageArn = 'arn:aws:lambda:us-east-1:123456789012:microvm-image:demo';

const newRow = (microvmId: string, startedAtMs: number): MicrovmRow => ({
  microvmId,
  account: '123456789012',
  host: `${microvmId}.vm.localhost`,
  imageArn,
  imageVersion: '1.0',
  buildId: 'b1',
  memoryMib: 512,
  state: 'PENDING',
  wish: 'RUNNING',
  generation: 1,
  stateReason: null,
  executionRoleArn: null,
  maxIdleSeconds: null,
  suspendedSeconds: null,
  autoResume: 0,
  maximumDurationSeconds: 28_800,
  ingressConnectors: toJson([]),
  egressConnectors: toJson([]),
  logging: null,
  runHookPayload: null,
  startedAtMs,
  launchedAtMs: null,
  suspendedAtMs: null,
  suspendCause: null,
  leaseUntilMs: null,
  terminatedAtMs: null,
  report: toJson({}),
});

async function addImage(db: Database): Promise<void> {
  const times = { createdAtMs: 1, updatedAtMs: 1 };
  const version = { imageArn, version: '1.0', state: 'SUCCESSFUL', stateReason: null } as const;
  await insertImage(db, {
    imageArn,
    account: '123456789012',
    name: 'demo',
    state: 'CREATED',
    latestActiveVersion: '1.0',
    latestFailedVersion: null,
    lastOrdinal: 1,
    stateBefore: null,
    tags: toJson({}),
    ...times,
  });
  await insertImageVersion(db, {
    ...version,
    ordinal: 1,
    status: 'ACTIVE',
    memoryMib: 512,
    spec: toJson({}),
    ...times,
  });
  await insertBuild(db, {
    ...version,
    buildId: 'b1',
    account: '123456789012',
    architecture: 'X86_64',
    memorySnapshotBytes: null,
    diskSnapshotBytes: null,
    codeInstallBytes: null,
    attempts: 1,
    createdAtMs: 1,
    endedAtMs: 2,
  });
}

test('what was written is there after opening the file again, readable by its owner only', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'waterbear-store-'));
  const path = join(directory, 'new', 'waterbear.db');
  try {
    {
      await using store = await openStore(path);
      await createAccount(store.db, { account: '123456789012', createdAtMs: 1 }, { buildIsolation: 'host' });
      await putAccessKey(store.db, { accessKeyId: 'AK', account: '123456789012', secret: 's', createdAtMs: 1 });
    }
    await using store = await openStore(path);
    expect(await findAccessKey(store.db, 'AK')).toMatchObject({ account: '123456789012', secret: 's' });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test('a second account needs builds in VMs, whichever comes first', async () => {
  await using store = await openStore(':memory:');
  const create = (account: string, buildIsolation: 'vm' | 'host'): Promise<void> =>
    createAccount(store.db, { account, createdAtMs: 1 }, { buildIsolation });
  const refused = { code: 'conflict', message: expect.stringContaining('--build-isolation vm') };
  await create('123456789012', 'host');
  await create('123456789012', 'host');
  await expect(create('210987654321', 'host')).rejects.toMatchObject(refused);
  await create('210987654321', 'vm');
  await create('210987654321', 'vm');
  await expect(create('123456789012', 'host')).rejects.toMatchObject(refused);
});

test('a change with a generation that is no longer current writes nothing', async () => {
  await using store = await openStore(':memory:');
  await addImage(store.db);
  await insertMicrovm(store.db, newRow('m1', 10));
  const first = await changeMicrovm(store.db, { microvmId: 'm1', generation: 1 }, { state: 'RUNNING' }, 20);
  expect(first?.generation).toBe(2);
  expect(
    await changeMicrovm(store.db, { microvmId: 'm1', generation: 1 }, { state: 'TERMINATED' }, 30),
  ).toBeUndefined();
  expect((await findMicrovm(store.db, 'm1'))?.state).toBe('RUNNING');
  expect(await listUsage(store.db, 'm1')).toMatchObject([{ kind: 'running', startMs: 20, endMs: null }]);
});

test('when the usage cannot be written, the state is not written either', async () => {
  await using store = await openStore(':memory:');
  await addImage(store.db);
  await insertMicrovm(store.db, newRow('m1', 10));
  await store.db.schema.alterTable('usageIntervals').renameTo('elsewhere').execute();
  await expect(changeMicrovm(store.db, { microvmId: 'm1', generation: 1 }, { state: 'RUNNING' }, 20)).rejects.toThrow();
  expect(await findMicrovm(store.db, 'm1')).toMatchObject({ state: 'PENDING', generation: 1 });
});

test('pages go from the newest to the oldest without loss, also with equal times', async () => {
  await using store = await openStore(':memory:');
  await addImage(store.db);
  for (const [id, at] of [
    ['a', 1],
    ['b', 2],
    ['c', 2],
    ['d', 3],
  ] as const)
    await insertMicrovm(store.db, newRow(id, at));
  const seen: string[] = [];
  let after: MicrovmRow | undefined;
  for (;;) {
    const [row] = await listMicrovms(store.db, { account: '123456789012', limit: 1, after });
    if (!row) break;
    seen.push(row.microvmId);
    after = row;
  }
  expect(seen).toEqual(['d', 'c', 'b', 'a']);
});

const usedIn: Partial<Record<MicrovmState, string>> = { RUNNING: 'running', SUSPENDED: 'suspended' };

test('whatever is tried in whatever order, only legal changes happen and the intervals tile the lifetime', async () => {
  const anyState = fc.constantFrom(...(Object.keys(microvmTransitions) as MicrovmState[]));
  const steps = fc.array(fc.record({ to: anyState, afterMs: fc.integer({ min: -50, max: 1000 }) }), { maxLength: 40 });
  await using store = await openStore(':memory:');
  await addImage(store.db);
  let count = 0;
  await fc.assert(
    fc.asyncProperty(steps, async (tries) => {
      const microvmId = `m${count++}`;
      let row = newRow(microvmId, 1000);
      let nowMs = 1000;
      let used: string | undefined;
      await insertMicrovm(store.db, row);
      for (const { to, afterMs } of tries) {
        nowMs += afterMs;
        const next = await changeMicrovm(store.db, row, { state: to }, nowMs);
        expect(next !== undefined).toBe(to === row.state || microvmTransitions[row.state].includes(to));
        if (!next) continue;
        row = next;
        if (to === 'TERMINATING' || to === 'TERMINATED') used = undefined;
        else used = usedIn[to] ?? used;
        const intervals = await listUsage(store.db, microvmId);
        expect(intervals.find(({ endMs }) => endMs === null)?.kind).toBe(used);
        intervals.slice(1).forEach((interval, index) => {
          expect(interval.startMs).toBe(intervals[index]?.endMs);
          expect(interval.kind).not.toBe(intervals[index]?.kind);
        });
      }
    }),
    { numRuns: 150 },
  );
});
