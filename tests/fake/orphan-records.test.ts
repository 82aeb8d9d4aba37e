// Records and hosts that know of MicroVMs which the other side does not have.
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { reapOrphans } from '../../src/app/garbage/reap.ts';
import { demoArn } from '../../src/app/testing/test-app.ts';
import { findMicrovm } from '../../src/store/microvms.ts';
import { diskUsage } from '../../src/vmm/qemu/disk-usage.ts';
import { busyRig } from './garbage-rig.ts';

const hour = 3_600_000;

test('a record whose MicroVM is gone ends with a reason, a version whose files are gone is launched no more', async () => {
  const { rig, asleep, running } = await busyRig();
  await using _ = rig;
  await rig.age(hour);
  const list = rig.node.list.bind(rig.node);
  const find = rig.node.find.bind(rig.node);
  rig.node.list = () => list().filter(({ microvmId }) => microvmId !== asleep);
  rig.node.find = (microvmId) => (microvmId === asleep ? undefined : find(microvmId));
  const image = (await findMicrovm(rig.store.db, running))?.buildId ?? '';
  await rm(join(rig.layout.images, image), { recursive: true });
  const { orphans } = await rig.survey();
  expect(orphans.map(({ id, holdsState }) => [id, holdsState])).toEqual([
    [`record:${asleep}`, true],
    [`version:${demoArn}@2.0`, true],
  ]);
  const { reaped } = await reapOrphans(rig.context, { ids: orphans.map(({ id }) => id) });
  expect(reaped.map(({ done, why }) => [done, why])).toEqual([
    [true, undefined],
    [true, undefined],
  ]);
  const row = await findMicrovm(rig.store.db, asleep);
  expect(row).toMatchObject({ state: 'TERMINATED', stateReason: expect.stringContaining('cleaned up on request') });
  Object.assign(rig.node, { list, find });
  const launched = await rig.launch();
  expect((await findMicrovm(rig.store.db, launched))?.imageVersion).toBe('1.0');
  expect(await rig.orphans()).toEqual([]);
});

test('a MicroVM that sleeps and whose directory is gone is a record without anything, and reaping ends it', async () => {
  const { rig, asleep, running } = await busyRig();
  await using _ = rig;
  await rm(join(rig.layout.vms, asleep), { recursive: true });
  expect(await rig.orphans()).toEqual([]);
  await rig.age(hour);
  expect((await rig.survey()).orphans).toMatchObject([{ id: `record:${asleep}`, holdsState: true }]);
  expect(await reapOrphans(rig.context, { all: true })).toMatchObject({ reaped: [] });
  expect((await reapOrphans(rig.context, { ids: [`record:${asleep}`] })).reaped).toMatchObject([{ done: true }]);
  await rig.settle();
  const states = await Promise.all([asleep, running].map((id) => findMicrovm(rig.store.db, id)));
  expect(states.map((row) => row?.state)).toEqual(['TERMINATED', 'RUNNING']);
  expect(await rig.orphans()).toEqual([]);
});

test('an end that was cut off: the MicroVM of an ended record is residue, one without a record is not', async () => {
  const { rig, asleep, running } = await busyRig();
  await using _ = rig;
  await rig.age(hour);
  const ended = { state: 'TERMINATED', wish: 'TERMINATED' } as const;
  await rig.store.db.updateTable('microvms').set(ended).where('microvmId', '=', asleep).execute();
  await rig.store.db.deleteFrom('microvms').where('microvmId', '=', running).execute();
  const { orphans } = await rig.survey();
  expect(orphans.map(({ id, holdsState }) => [id, holdsState]).sort()).toEqual(
    [
      [`microvm:${asleep}`, false],
      [`microvm:${running}`, true],
    ].sort(),
  );
  // With what is listed by itself as long as somebody owns it.
  for (const { bytes, where } of orphans) expect(bytes).toBe(await diskUsage(where));
  expect(orphans[0]?.bytes).toBeGreaterThan(4096);
  await reapOrphans(rig.context, { all: true });
  expect(rig.node.list().map(({ microvmId }) => microvmId)).toEqual([running]);
  await reapOrphans(rig.context, { ids: [`microvm:${running}`] });
  expect(rig.node.list()).toEqual([]);
  expect(await readdir(rig.layout.vms)).toEqual([]);
});
