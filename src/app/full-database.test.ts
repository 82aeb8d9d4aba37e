// The database finds no room: what is refused says so and is nowhere, what the workers could not record they record when there is room.
import { sql } from 'kysely';
import { expect, test } from 'vitest';
import { isFault } from '../lib/errors.ts';
import type { Database } from '../store/tables.ts';
import { listUsage } from '../store/usage.ts';
import { createTasks } from '../tasks/create-tasks.ts';
import { createMicrovmImage } from './operations/create-microvm-image.ts';
import { listMicrovmImages } from './operations/list-microvm-images.ts';
import { listMicrovms } from './operations/list-microvms.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { suspendMicrovm } from './operations/suspend-microvm.ts';
import { terminateMicrovm } from './operations/terminate-microvm.ts';
import { caller, demoArn, imageRequest, testApp } from './testing/test-app.ts';

const pages = async (db: Database): Promise<number> => {
  const { rows } = await sql<{ pageCount: number }>`pragma page_count`.execute(db);
  return rows[0]?.pageCount ?? 0;
};

const limit = (db: Database, count: number): Promise<unknown> =>
  sql.raw(`pragma max_page_count = ${count}`).execute(db);

/** Does `act` until the database is full; resolves with how often it was done. Whatever else goes wrong is thrown. */
async function untilFull(act: (n: number) => Promise<unknown>): Promise<number> {
  for (let done = 0; done < 10_000; done++) {
    try {
      await act(done);
    } catch (error) {
      if (isFault(error, 'disk_full')) return done;
      throw error;
    }
  }
  throw new Error('It was never full.');
}

test('what finds no room in the database is refused as a whole, and works when there is room', async () => {
  await using t = await testApp();
  const { db } = t.store;
  const app = t.app.context;
  const tasks = createTasks(t.app, t.clock);
  tasks.start();
  const one = await t.launch();
  const images = async (): Promise<number> => (await listMicrovmImages(app, caller, { maxResults: 50 })).items.length;
  await limit(db, (await pages(db)) + 4);
  const made = await untilFull(async (n) => {
    await createMicrovmImage(app, caller, { ...imageRequest, name: `image-${n}`, tags: { filler: 'x'.repeat(200) } });
    await t.settle();
  });
  expect(await images()).toBe(made + 1);
  const runs = await untilFull(() =>
    runMicrovm(app, caller, { imageIdentifier: demoArn, runHookPayload: 'x'.repeat(4000) }),
  );
  expect((await listMicrovms(app, caller, {})).items).toHaveLength(runs + 1);
  expect(t.node.list().length).toBeLessThanOrEqual(runs + 1);

  const asked = await suspendMicrovm(app, caller, { microvmIdentifier: one.microvmId }).then(
    () => true,
    (error: unknown) => !isFault(error, 'disk_full'),
  );
  await t.settle();
  await limit(db, 1_000_000);
  if (!asked) await suspendMicrovm(app, caller, { microvmIdentifier: one.microvmId });
  await t.clock.advance(6000);
  await t.settle();
  expect((await t.get(one.microvmId)).state).toBe('SUSPENDED');
  for (const { microvmId } of (await listMicrovms(app, caller, {})).items) {
    await terminateMicrovm(app, caller, { microvmIdentifier: microvmId });
    await t.settle();
    const usage = await listUsage(db, microvmId);
    expect(usage.slice(1).map(({ startMs }) => startMs)).toEqual(usage.slice(0, -1).map(({ endMs }) => endMs));
    expect(usage.every(({ endMs }) => endMs !== null)).toBe(true);
  }
  expect(t.node.list()).toEqual([]);
  await createMicrovmImage(app, caller, { ...imageRequest, name: 'later' });
  await t.settle();
  expect(await images()).toBe(made + 2);
  await tasks.stop();
});
