// What nobody uses goes when the operator says so, and only then; `gc` says it first.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { collectGarbage } from '../../src/app/garbage/collect.ts';
import { runMicrovm } from '../../src/app/operations/run-microvm.ts';
import { terminateMicrovm } from '../../src/app/operations/terminate-microvm.ts';
import { caller, demoArn } from '../../src/app/testing/test-app.ts';
import type { Lifecycle } from '../../src/contract/lifecycle.ts';
import { setFileFaults } from '../../src/lib/disk-faults.ts';
import { listImageVersions } from '../../src/store/image-versions.ts';
import { findMicrovm } from '../../src/store/microvms.ts';
import { listUsage } from '../../src/store/usage.ts';
import { createTasks } from '../../src/tasks/create-tasks.ts';
import { type GarbageRig, garbageRig, suspend } from './garbage-rig.ts';

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

async function tidied(rig: GarbageRig): Promise<void> {
  await rig.context.tidying.wake();
  await rig.settle();
}
const versionsOf = async (rig: GarbageRig): Promise<string[]> =>
  (await listImageVersions(rig.store.db, { imageArn: demoArn })).map(({ version }) => version);

test('by default nothing that anybody made goes away', async () => {
  await using rig = await garbageRig({ keepEndedMs: 30 * day, reapAfterMs: day });
  for (let i = 0; i < 3; i++) await rig.build();
  const microvmId = await rig.launch();
  await suspend(rig, microvmId);
  const before = (await rig.survey()).things.map(({ id }) => id).sort();
  await rig.age(365 * day);
  await tidied(rig);
  await tidied(rig);
  expect((await rig.survey()).things.map(({ id }) => id).sort()).toEqual(before);
  expect(await versionsOf(rig)).toEqual(['3.0', '2.0', '1.0']);
  expect((await findMicrovm(rig.store.db, microvmId))?.state).toBe('SUSPENDED');
});

test('keep-suspended ends those that sleep for longer, with the reason, and no others', async () => {
  await using rig = await garbageRig({ keepSuspendedMs: 30 * day });
  await rig.build();
  const [old, young, running] = [await rig.launch(), await rig.launch(), await rig.launch()];
  await suspend(rig, old);
  await rig.age(10 * day);
  await suspend(rig, young);
  await rig.age(20 * day);
  await tidied(rig);
  const rows = await Promise.all([old, young, running].map((id) => findMicrovm(rig.store.db, id)));
  expect(rows.map((row) => row?.state)).toEqual(['TERMINATED', 'SUSPENDED', 'RUNNING']);
  expect(rows[0]?.stateReason).toBe('Suspended for longer than 30d (--keep-suspended).');
});

test('what goes with a MicroVM and is an orphan by itself is counted once', async () => {
  await using rig = await garbageRig({ keepSuspendedMs: 30 * day });
  await rig.build();
  const microvmId = await rig.launch();
  await suspend(rig, microvmId);
  await rig.plant(`vms/${microvmId}/sleep-0/memory`, 'x'.repeat(1e6));
  await rig.age(31 * day);
  const { pieces, bytes } = await collectGarbage(rig.context, { dryRun: true });
  expect(pieces.map(({ policy }) => policy)).toEqual(['keep-suspended', 'orphan']);
  expect(bytes).toBeGreaterThan(1e6);
  expect(bytes).toBeLessThan(2e6);
});

test('what cannot be freed keeps nothing else from going by itself', async () => {
  await using rig = await garbageRig({ reapAfterMs: day });
  for (let i = 0; i < 60; i++) await rig.plant(`archives/00000000-0000-4000-8000-0000000000${10 + i}.zip`);
  const last = '00000000-0000-4000-8000-ffffffffffff';
  await rig.plant(`archives/${last}.zip`, 'x');
  await rig.age(hour);
  await tidied(rig);
  await rig.age(day);
  setFileFaults((operation, path) =>
    operation === 'remove' && !path.includes(last) ? { error: new Error('EPERM') } : undefined,
  );
  await tidied(rig).finally(() => setFileFaults(undefined));
  expect(await readdir(rig.layout.archives)).not.toContain(`${last}.zip`);
  expect(await readdir(rig.layout.archives)).toHaveLength(60);
});

test('a sleep that the server forced counts from its start: nobody could wake it while it was down', async () => {
  await using rig = await garbageRig({ keepSuspendedMs: 30 * day });
  await rig.build();
  const microvmId = await rig.launch();
  await suspend(rig, microvmId);
  const long = rig.clock.now() - 90 * day;
  const vm = rig.context.index.get(microvmId);
  if (!vm) throw new Error('not in the index');
  vm.row = { ...vm.row, suspendedAtMs: long, suspendCause: 'shutdown' };
  await tidied(rig);
  expect((await findMicrovm(rig.store.db, microvmId))?.state).toBe('SUSPENDED');
  await rig.age(30 * day);
  await tidied(rig);
  expect((await findMicrovm(rig.store.db, microvmId))?.state).toBe('TERMINATED');
});

test('keep-versions deletes the older ones that no MicroVM uses, with their files', async () => {
  await using rig = await garbageRig({ keepVersions: 2 });
  await rig.build();
  const microvmId = await rig.launch();
  for (let i = 0; i < 4; i++) await rig.build();
  await tidied(rig);
  expect(await versionsOf(rig)).toEqual(['5.0', '4.0', '1.0']);
  expect(await readdir(rig.layout.images)).toHaveLength(3);
  await terminateMicrovm(rig.context, caller, { microvmIdentifier: microvmId });
  await rig.settle();
  await tidied(rig);
  expect(await versionsOf(rig)).toEqual(['5.0', '4.0']);
  expect(await rig.orphans()).toEqual([]);
});

test('keep-versions never takes the version that a launch would take', async () => {
  await using rig = await garbageRig({ keepVersions: 1 });
  for (let i = 0; i < 3; i++) await rig.build();
  const status = { imageIdentifier: demoArn, status: 'INACTIVE' } as const;
  for (const imageVersion of ['2.0', '3.0']) {
    await rig.app.operations.UpdateMicrovmImageVersion(caller, { ...status, imageVersion });
  }
  await tidied(rig);
  expect(await versionsOf(rig)).toEqual(['3.0', '1.0']);
  await rig.launch();
});

test('keep-ended removes records and their tokens, and keeps what was used', async () => {
  await using rig = await garbageRig({ keepEndedMs: 30 * day });
  await rig.build();
  const order = { imageIdentifier: demoArn, clientToken: 'once' };
  const { microvmId } = await runMicrovm(rig.context, caller, order);
  await rig.settle();
  await terminateMicrovm(rig.context, caller, { microvmIdentifier: microvmId });
  await rig.settle();
  await rig.age(29 * day);
  await tidied(rig);
  expect((await runMicrovm(rig.context, caller, order)).microvmId).toBe(microvmId);
  await rig.age(2 * day);
  await tidied(rig);
  expect(await findMicrovm(rig.store.db, microvmId)).toBeUndefined();
  expect(await listUsage(rig.store.db, microvmId)).toMatchObject([{ kind: 'running', endMs: expect.any(Number) }]);
  await expect(rig.app.operations.GetMicrovm(caller, { microvmIdentifier: microvmId })).rejects.toMatchObject({
    code: 'not_found',
  });
  expect((await runMicrovm(rig.context, caller, order)).microvmId).not.toBe(microvmId);
  await rig.settle();
});

test('keep-logs removes the logs of builds that ended long ago, and nothing else', async () => {
  await using rig = await garbageRig({ keepLogsMs: 7 * day });
  await rig.build();
  await rig.age(6 * day);
  await tidied(rig);
  expect(await readdir(rig.layout.logs)).toHaveLength(1);
  await rig.age(2 * day);
  await rig.build();
  await tidied(rig);
  // The file system cannot be told the time: the second log is as old as the first one.
  expect(await readdir(rig.layout.logs)).toHaveLength(0);
  expect(await readdir(rig.layout.images)).toHaveLength(2);
});

test('residue is reaped once it has been seen for so long, whatever its age; what may hold work never is', async () => {
  await using rig = await garbageRig({ reapAfterMs: day });
  await rig.plant('logs/00000000-0000-4000-8000-000000001111.log');
  await rig.plant('vms/microvm-2222/microvm.json');
  await rig.age(100 * day);
  await tidied(rig);
  expect(await rig.orphans()).toHaveLength(2);
  await rig.age(day - 1);
  await tidied(rig);
  expect(await rig.orphans()).toHaveLength(2);
  await rig.age(1);
  await tidied(rig);
  expect(await rig.orphans()).toEqual(['microvm:microvm-2222']);
  await rig.age(100 * day);
  await tidied(rig);
  expect(await rig.orphans()).toEqual(['microvm:microvm-2222']);
});

test('without a time for it nothing is reaped', async () => {
  await using rig = await garbageRig();
  await rig.plant('logs/00000000-0000-4000-8000-000000001111.log');
  for (let i = 0; i < 3; i++) {
    await rig.age(100 * day);
    await tidied(rig);
  }
  expect(await rig.orphans()).toEqual(['build-log:00000000-0000-4000-8000-000000001111']);
});

test('gc says what it would free and why, changes nothing then, and does exactly that', async () => {
  const lifecycle: Lifecycle = { keepSuspendedMs: day, keepVersions: 1, keepEndedMs: day, keepLogsMs: hour };
  await using rig = await garbageRig(lifecycle);
  for (let i = 0; i < 2; i++) await rig.build();
  const [ended, asleep] = [await rig.launch(), await rig.launch()];
  await terminateMicrovm(rig.context, caller, { microvmIdentifier: ended });
  await suspend(rig, asleep);
  await rig.plant('logs/00000000-0000-4000-8000-000000001111.log');
  await rig.plant('vms/microvm-2222/microvm.json');
  await rig.plant('build-cache/999999999999.disk');
  await rig.plant(`build-cache/${caller.account}.disk`);
  await rig.age(2 * day);
  const present = async () => (await rig.survey()).things.map(({ id, bytes }) => `${id} ${bytes}`);
  const before = await present();
  const dry = await collectGarbage(rig.context, { dryRun: true });
  expect(await present()).toEqual(before);
  const logs = (await readdir(rig.layout.logs)).filter((name) => name !== '00000000-0000-4000-8000-000000001111.log');
  const expected = [
    ['keep-suspended', `microvm:${asleep}`],
    ['keep-versions', `version:${demoArn}@1.0`],
    ['keep-ended', 'ended-records:all'],
    ...logs.map((name) => ['keep-logs', `build-log:${name.replace('.log', '')}`]),
    ['orphan', 'build-log:00000000-0000-4000-8000-000000001111'],
    ['cache', 'build-cache:999999999999'],
  ].sort();
  expect(dry.pieces.map(({ policy, id }) => [policy, id]).sort()).toEqual(expected);
  expect(dry.pieces.every(({ done, why }) => done === undefined && why.length > 10)).toBe(true);
  expect(dry.bytes).toBe(dry.pieces.reduce((sum, { bytes }) => sum + bytes, 0));
  expect(dry.bytes).toBeGreaterThan(8192);
  expect(dry.kept.map(({ id }) => id)).toEqual(['microvm:microvm-2222']);

  const wet = await collectGarbage(rig.context, { dryRun: false });
  await rig.settle();
  expect(wet.pieces.map(({ id, done }) => [id, done])).toEqual(dry.pieces.map(({ id }) => [id, true]));
  expect((await findMicrovm(rig.store.db, asleep))?.state).toBe('TERMINATED');
  expect(await findMicrovm(rig.store.db, ended)).toBeUndefined();
  expect(await versionsOf(rig)).toEqual(['2.0']);
  expect(await readdir(join(rig.directory, 'build-cache'))).toEqual([`${caller.account}.disk`]);
  const again = await collectGarbage(rig.context, { dryRun: true });
  expect(again.pieces).toEqual([]);
});

test('the task looks around every few minutes', async () => {
  await using rig = await garbageRig();
  let looks = 0;
  const inventory = rig.node.inventory.bind(rig.node);
  rig.node.inventory = () => {
    looks += 1;
    return inventory();
  };
  await rig.plant('logs/00000000-0000-4000-8000-000000001111.log');
  const tasks = createTasks(rig.app, rig.clock);
  const run = async (ms: number): Promise<number> => {
    await rig.age(ms);
    await tasks.runOnce();
    await rig.settle();
    return looks;
  };
  expect(await run(0)).toBe(0);
  expect(await run(minute)).toBe(1);
  expect(await run(minute)).toBe(1);
  expect(await run(4 * minute)).toBe(2);
  expect(rig.context.garbage.orphans.map(({ id }) => id)).toEqual(['build-log:00000000-0000-4000-8000-000000001111']);
  await tasks.stop();
});
