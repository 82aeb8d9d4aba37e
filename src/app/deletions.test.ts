// Deletions and updates that a crash cuts short: the next server finishes them, whatever line they had reached.
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { createTasks } from '../tasks/create-tasks.ts';
import type { App } from './create-app.ts';
import { createMicrovmImage } from './operations/create-microvm-image.ts';
import { deleteMicrovmImage } from './operations/delete-microvm-image.ts';
import { deleteMicrovmImageVersion } from './operations/delete-microvm-image-version.ts';
import { getMicrovmImage } from './operations/get-microvm-image.ts';
import { getMicrovmImageVersion } from './operations/get-microvm-image-version.ts';
import { listMicrovmImageVersions } from './operations/list-microvm-image-versions.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { updateMicrovmImage } from './operations/update-microvm-image.ts';
import { caller, demoArn, imageRequest, type TestApp, testApp } from './testing/test-app.ts';

const image = { imageIdentifier: demoArn };
const { name: _, ...spec } = imageRequest;

async function withVersions(t: TestApp, count: number): Promise<void> {
  await createMicrovmImage(t.app.context, caller, imageRequest);
  await t.settle();
  for (let i = 1; i < count; i++) {
    await updateMicrovmImage(t.app.context, caller, { ...image, ...spec });
    await t.settle();
  }
}

const removals = (t: TestApp): number => t.node.calls.filter((call) => call.startsWith('deleteImage')).length;

/** The server as it comes up after its process has gone, its tasks run once. */
async function nextServer(t: TestApp): Promise<App> {
  const next = t.restart();
  await next.start();
  await createTasks(next, t.clock).runOnce();
  await t.settle();
  return next;
}

/** Lets the host stand still at its n-th removal. */
function stopAtRemoval(t: TestApp, n: number): { reached: Promise<void>; release(): void } {
  const [gate, reached] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const remove = t.node.deleteImage.bind(t.node);
  let calls = 0;
  t.node.deleteImage = async (buildId) => {
    calls += 1;
    if (calls !== n) return remove(buildId);
    reached.resolve();
    await gate.promise;
  };
  return { reached: reached.promise, release: gate.resolve };
}

test.each([1, 2, 3])('an image whose deletion stopped at its file %i is gone after the restart', async (n) => {
  await using t = await testApp();
  await withVersions(t, 3);
  const stop = stopAtRemoval(t, n);
  await deleteMicrovmImage(t.app.context, caller, image);
  await stop.reached;
  const next = await nextServer(t);
  await expect(getMicrovmImage(next.context, caller, image)).rejects.toMatchObject({ code: 'not_found' });
  expect(next.context.deletions.unfinished).toBe(false);
  // The host is asked for all of them again: what is gone already is no failure.
  expect(removals(t)).toBe(n - 1 + 3);
  stop.release();
  await t.app.context.deletions.idle();
});

test('a version whose deletion stopped is gone after the restart, and its image is as before', async () => {
  await using t = await testApp();
  await withVersions(t, 2);
  const stop = stopAtRemoval(t, 1);
  await deleteMicrovmImageVersion(t.app.context, caller, { ...image, imageVersion: '1.0' });
  await stop.reached;
  expect((await getMicrovmImage(t.app.context, caller, image)).state).toBe('UPDATING');
  const next = await nextServer(t);
  expect((await getMicrovmImage(next.context, caller, image)).state).toBe('UPDATED');
  const { items } = await listMicrovmImageVersions(next.context, caller, image);
  expect(items.map(({ imageVersion }) => imageVersion)).toEqual(['2.0']);
  await runMicrovm(next.context, caller, image);
  stop.release();
  await t.app.context.deletions.idle();
});

test('rows that could not be removed after the files are removed later, and never in part', async () => {
  await using t = await testApp();
  await withVersions(t, 2);
  const tasks = createTasks(t.app, t.clock);
  await tasks.runOnce();
  await t.settle();
  expect(t.app.context.deletions.unfinished).toBe(false);
  await sql`create trigger full before delete on images begin select raise(abort, 'disk full'); end`.execute(
    t.store.db,
  );
  await deleteMicrovmImage(t.app.context, caller, image);
  await t.settle();
  expect((await getMicrovmImage(t.app.context, caller, image)).state).toBe('DELETING');
  expect((await listMicrovmImageVersions(t.app.context, caller, image)).items).toHaveLength(2);
  await sql`drop trigger full`.execute(t.store.db);
  await tasks.runOnce();
  await t.settle();
  // Not at once: a full disk does not get better by being asked all the time.
  expect((await getMicrovmImage(t.app.context, caller, image)).state).toBe('DELETING');
  await t.clock.advance(1000);
  await tasks.runOnce();
  await t.settle();
  await expect(getMicrovmImage(t.app.context, caller, image)).rejects.toMatchObject({ code: 'not_found' });
});

test('an update whose build the server ended with too often has failed; the version before stays', async () => {
  await using t = await testApp();
  await withVersions(t, 1);
  const gate = Promise.withResolvers<void>();
  t.node.gates.build = gate.promise;
  await updateMicrovmImage(t.app.context, caller, { ...image, ...spec });
  await t.store.db.updateTable('builds').set({ attempts: 3 }).where('version', '=', '2.0').execute();
  const next = await nextServer(t);
  expect(await getMicrovmImage(next.context, caller, image)).toMatchObject({
    state: 'UPDATE_FAILED',
    latestActiveImageVersion: '1.0',
    latestFailedImageVersion: '2.0',
  });
  const second = await getMicrovmImageVersion(next.context, caller, { ...image, imageVersion: '2.0' });
  expect(second).toMatchObject({ state: 'FAILED', status: 'INACTIVE', stateReason: undefined });
  gate.resolve();
  await t.app.context.builds.idle();
});

test('a launch that began before a deletion does not outlive it', async () => {
  await using t = await testApp();
  await withVersions(t, 1);
  // Between the look at the image and the row of the MicroVM.
  Object.assign(t.app.context, { openEndpoint: () => deleteMicrovmImage(t.app.context, caller, image) });
  await expect(runMicrovm(t.app.context, caller, image)).rejects.toMatchObject({ code: 'not_found' });
  expect(t.app.context.index.all()).toEqual([]);
});
