// What has no owner is found, whatever side it is on; what is in use never is; and reaping removes exactly that.
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { reapOrphans } from '../../src/app/garbage/reap.ts';
import { caller, demoArn } from '../../src/app/testing/test-app.ts';
import { openSealed, sealJson } from '../../src/lib/sealed-json.ts';
import { findMicrovm } from '../../src/store/microvms.ts';
import { createFakeDriver } from '../../src/vmm/fake/fake-driver.ts';
import { busyRig, type GarbageRig, garbageRig, resume, suspend, terminate } from './garbage-rig.ts';

const hour = 3_600_000;

test('what is in use is no orphan, however old it is', async () => {
  const { rig } = await busyRig();
  await using _ = rig;
  await rig.age(90 * 24 * hour);
  const { things, orphans } = await rig.survey();
  expect(orphans).toEqual([]);
  const kinds = new Set(things.map(({ kind }) => kind));
  expect([...kinds].sort()).toEqual(['build-log', 'disk-layer', 'image', 'microvm', 'slot', 'snapshot']);
  expect(things.every(({ bytes }) => bytes >= 0)).toBe(true);
});

interface Planting {
  id: string;
  /** Path below the data directory that reaping removes. */
  path: string;
  holdsState?: boolean;
}

const lost = 'microvm-00000000-0000-4000-8000-000000000000';
const lostBuild = '00000000-0000-4000-8000-000000000001';
const files: Planting[] = [
  { id: `microvm:${lost}`, path: `vms/${lost}`, holdsState: true },
  { id: 'aside:vms/microvm-x.12345678.removed', path: 'vms/microvm-x.12345678.removed' },
  { id: `image:${lostBuild}`, path: `images/${lostBuild}`, holdsState: true },
  { id: `build-work:${lostBuild}.work`, path: `images/${lostBuild}.work` },
  { id: `build-work:${lostBuild}.new`, path: `images/${lostBuild}.new` },
  { id: 'aside:images/1111.12345678.removed', path: 'images/1111.12345678.removed' },
  { id: `archive:${lostBuild}`, path: `archives/${lostBuild}.zip` },
  { id: `build-log:${lostBuild}`, path: `logs/${lostBuild}.log` },
  { id: 'aside:server.json.1234abcd.new', path: 'server.json.1234abcd.new' },
  { id: 'aside:keys/tokens.json.1234abcd.new', path: 'keys/tokens.json.1234abcd.new' },
];

test.each(files)('$id is found when it is old enough, shown, and reaped', async ({ id, path, holdsState = false }) => {
  await using rig = await garbageRig();
  await rig.build();
  const isDirectory = /^(vms|images)\//.test(path);
  await rig.plant(isDirectory ? `${path}/something` : path);
  expect(await rig.orphans()).toEqual([]);
  await rig.age(hour);
  const { orphans } = await rig.survey();
  expect(orphans).toMatchObject([{ id, holdsState, where: join(rig.directory, path) }]);
  expect(orphans[0]?.bytes).toBeGreaterThanOrEqual(4096);
  expect(orphans[0]?.ageMs).toBeGreaterThanOrEqual(hour);
  // What may hold somebody's work has to be named.
  expect((await reapOrphans(rig.context, { all: true })).reaped).toHaveLength(holdsState ? 0 : 1);
  if (holdsState) {
    const { reaped } = await reapOrphans(rig.context, { ids: [id] });
    expect(reaped).toMatchObject([{ id, done: true }]);
  }
  expect(await rig.orphans()).toEqual([]);
  expect(await readdir(join(rig.directory, path)).catch((error: NodeJS.ErrnoException) => error.code)).toBe('ENOENT');
  const again = await reapOrphans(rig.context, { ids: [id] });
  expect(again.reaped).toEqual([{ id, done: false, why: 'It is not an orphan now.', bytes: 0 }]);
});

test("other people's files are none of ours", async () => {
  const { rig, asleep } = await busyRig();
  await using _ = rig;
  const directories = ['vms/lost+found', 'images/lost+found', 'images/photos.work', 'vms/old.removed', 'vms/draft.new'];
  for (const path of directories) await rig.plant(`${path}/x`);
  for (const path of ['images/readme.txt', 'images/notes.new', 'logs/notes.txt', 'logs/access.log', 'archives/a.tar'])
    await rig.plant(path);
  for (const path of ['archives/mine.zip', 'notes.new', 'keys/ca.crt', 'build-cache/x.disk']) await rig.plant(path);
  for (const name of ['notes.new', 'disk/notes.txt', 'disk/layer-1.fake.bak']) await rig.plant(`vms/${asleep}/${name}`);
  await rig.age(hour);
  expect(await rig.orphans()).toEqual([]);
  await resume(rig, asleep);
  await suspend(rig, asleep);
  expect(await readdir(join(rig.layout.vms, asleep, 'disk'))).toEqual(
    expect.arrayContaining(['notes.txt', 'layer-1.fake.bak']),
  );
});

test('a directory that nobody knows may hold work, whatever its name', async () => {
  await using rig = await garbageRig();
  for (const path of ['vms/backup/x', 'images/photos/x']) await rig.plant(path);
  await rig.age(hour);
  const { orphans } = await rig.survey();
  expect(orphans.map(({ id, holdsState }) => [id, holdsState]).sort()).toEqual([
    ['image:photos', true],
    ['microvm:backup', true],
  ]);
});

test.each(['..', '.'])('a VMM that says its run directory is %s is nothing of ours', async (name) => {
  await using rig = await garbageRig();
  rig.driver.sweep = async () => [{ runDirectory: `${rig.layout.run}/${name}`, pid: 1 }];
  await rig.age(hour);
  expect(await rig.orphans()).toEqual([]);
  await rig.node.discard([`vmm:${name}`]);
  expect(await readdir(rig.directory)).toContain('vms');
  expect(await readdir(rig.layout.run)).toContain('journal');
});

test('snapshots and layers that the newest snapshot does not need', async () => {
  const { rig, asleep, running } = await busyRig();
  await using _ = rig;
  const directory = join(rig.layout.vms, asleep);
  const [newest = ''] = (await readdir(directory)).filter((name) => name.startsWith('sleep-'));
  // As a real snapshot does, this one names its layers.
  const manifest = join(directory, newest, 'manifest.json');
  const layers = (await readdir(join(directory, 'disk'))).map((name) => ({ name, bytes: 1, sha256: '0'.repeat(64) }));
  const record = JSON.parse(openSealed(await readFile(manifest, 'utf8')));
  await writeFile(manifest, sealJson({ ...record, layers }));
  for (const id of [asleep, running]) {
    await rig.plant(`vms/${id}/disk/layer-77.fake`);
    await rig.plant(`vms/${id}/.sleep-9.new/state.json`);
  }
  await rig.plant(`vms/${asleep}/sleep-0/state.json`);
  await rig.age(hour);
  const expected = [`aside:${asleep}/.sleep-9.new`, `disk-layer:${asleep}/layer-77.fake`, `snapshot:${asleep}/sleep-0`];
  expect((await rig.orphans()).sort()).toEqual(expected);
  const { reaped } = await reapOrphans(rig.context, { all: true });
  expect(reaped.every(({ done }) => done)).toBe(true);
  expect((await readdir(join(directory, 'disk'))).sort()).toEqual(layers.map(({ name }) => name).sort());
  await resume(rig, asleep);
  expect((await findMicrovm(rig.store.db, asleep))?.state).toBe('RUNNING');
});

test('a slot without a VM', async () => {
  const { rig } = await busyRig();
  await using _ = rig;
  const [used] = rig.slots.standing.keys();
  rig.slots.stand(40, 'left');
  rig.slots.stand(41, 'ready');
  await rig.age(hour);
  expect((await rig.survey()).orphans).toMatchObject([{ id: 'slot:40', where: 'stub-40', holdsState: false }]);
  expect(await rig.node.discard(['slot:40', 'slot:41', `slot:${used}`])).toMatchObject([
    { done: true },
    { done: false, why: 'In use: prepared for the next MicroVM.' },
    { done: false, why: 'In use: a VM is wired to it.' },
  ]);
  expect(rig.slots.standing.has(40)).toBe(false);
});

test('a VMM that a killed server left, and that nobody took over', async () => {
  const { rig, running } = await busyRig();
  await using _ = rig;
  const killed = createFakeDriver();
  const image = await mkdtemp(join(rig.directory, 'image-'));
  const runDirectory = join(rig.layout.run, 'stranger');
  await killed.boot({ runDirectory, image, size: { memoryMib: 512, vcpus: 1 }, rootDisk: '' });
  await killed.crash();
  const { orphans } = await rig.survey();
  expect(orphans).toMatchObject([{ id: 'vmm:stranger', holdsState: false, where: expect.stringContaining('process') }]);
  const { reaped } = await reapOrphans(rig.context, { all: true });
  expect(reaped).toMatchObject([{ id: 'vmm:stranger', done: true }]);
  expect(await createFakeDriver().sweep(rig.layout.run, new Set(), { dryRun: true })).toEqual([]);
  expect((await findMicrovm(rig.store.db, running))?.state).toBe('RUNNING');
});

test('the host refuses to discard what it needs, whoever asks', async () => {
  const { rig, asleep, running, buildId } = await busyRig();
  await using _ = rig;
  await rig.age(hour);
  const { things } = await rig.survey();
  const needed = things.filter(({ kind }) => kind === 'snapshot' || kind === 'disk-layer' || kind === 'vmm');
  expect(needed.length).toBeGreaterThan(3);
  const image = (await findMicrovm(rig.store.db, running))?.buildId ?? '';
  const ids = [...needed.map(({ id }) => id), `image:${image}`];
  const refused = await rig.node.discard(ids);
  expect(refused.map(({ done, why }) => [done, why?.startsWith('In use: ')])).toEqual(ids.map(() => [false, true]));
  await resume(rig, asleep);
  expect(await readdir(rig.layout.images)).toContain(buildId);
  expect((await findMicrovm(rig.store.db, asleep))?.state).toBe('RUNNING');
});

test("only the server's own account may look and clean", async () => {
  await using rig = await garbageRig();
  const { extension } = rig.app;
  const other = { account: '999999999999' };
  for (const call of [
    () => extension.orphans(other),
    () => extension.reapOrphans(other, { all: true }),
    () => extension.collectGarbage(other, { dryRun: true }),
  ])
    await expect(call()).rejects.toMatchObject({ code: 'access_denied' });
  expect(await extension.orphans(caller)).toEqual({ orphans: [], leftovers: [] });
});

const acts = fc.array(
  fc.tuple(fc.constantFrom('build', 'launch', 'suspend', 'resume', 'terminate', 'delete'), fc.nat(2)),
  { minLength: 4, maxLength: 12 },
);

test('after whatever was done there are no orphans, and what is planted then is found alone', async () => {
  await fc.assert(
    fc.asyncProperty(acts, fc.constantFrom(...files), async (done, planted) => {
      await using rig = await garbageRig();
      await rig.build();
      const ids: string[] = [];
      for (const [act, which] of done) {
        const id = ids[which % Math.max(1, ids.length)] ?? '';
        // What is refused in this state leaves no traces either.
        await perform(rig, act, id, ids).catch(() => {});
      }
      await rig.settle();
      await rig.age(hour);
      expect(await rig.orphans()).toEqual([]);
      const before = (await rig.survey()).things.map(({ id }) => id).sort();
      await mkdir(join(rig.directory, 'keys'), { recursive: true });
      await rig.plant(/^(vms|images)\//.test(planted.path) ? `${planted.path}/x` : planted.path);
      await rig.age(hour);
      expect(await rig.orphans()).toEqual([planted.id]);
      await reapOrphans(rig.context, { ids: [planted.id] });
      expect((await rig.survey()).things.map(({ id }) => id).sort()).toEqual(before);
      for (const { row } of rig.context.index.all()) if (row.state === 'SUSPENDED') await resume(rig, row.microvmId);
      const states = new Set(rig.context.index.all().map(({ row }) => row.state));
      expect([...states].filter((state) => state !== 'RUNNING')).toEqual([]);
    }),
    { numRuns: 25 },
  );
});

async function perform(rig: GarbageRig, act: string, id: string, ids: string[]): Promise<void> {
  if (act === 'build') await rig.build();
  else if (act === 'launch') ids.push(await rig.launch());
  else if (act === 'suspend') await suspend(rig, id);
  else if (act === 'resume') await resume(rig, id);
  else if (act === 'terminate') await terminate(rig, id);
  else await rig.app.operations.DeleteMicrovmImage(caller, { imageIdentifier: demoArn });
  await rig.settle();
}
