import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLog } from '../lib/log.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { Cleaning } from './cleaning.ts';

const failing = (times: number) => {
  let attempts = 0;
  const work = async (): Promise<number> => {
    if (attempts++ < times) throw new Error(`busy ${attempts}`);
    return attempts;
  };
  return { work, attempts: () => attempts };
};

test('what fails is listed with its reason, and tried again with pauses that grow', async () => {
  const clock = new ManualClock();
  const cleaning = new Cleaning(clock, silentLog);
  const { work, attempts } = failing(3);
  const done = cleaning.untilDone('the slot', work);
  await clock.advance(0);
  expect(cleaning.leftovers).toEqual([{ what: 'the slot', why: 'busy 1', attempts: 1, sinceMs: clock.now() }]);
  for (const [pauseMs, so] of [
    [999, 1],
    [1, 2],
    [1999, 2],
    [1, 3],
    [4000, 4],
  ] as const) {
    await clock.advance(pauseMs);
    expect(attempts()).toBe(so);
  }
  expect(await done).toBe(4);
  expect(cleaning.leftovers).toEqual([]);
});

test('an attempt is over after the first try, and goes on behind it', async () => {
  const clock = new ManualClock();
  const cleaning = new Cleaning(clock, silentLog);
  const { work, attempts } = failing(1);
  await cleaning.attempt('the slot', work);
  expect(cleaning.leftovers).toHaveLength(1);
  await clock.advance(1000);
  expect(attempts()).toBe(2);
  expect(cleaning.leftovers).toEqual([]);
});

test('closing ends pauses, and lets what comes then have one try', async () => {
  const clock = new ManualClock();
  const cleaning = new Cleaning(clock, silentLog);
  const waiting = expect(cleaning.untilDone('the slot', failing(1).work)).rejects.toMatchObject({ code: 'aborted' });
  await clock.advance(0);
  cleaning.close();
  await waiting;
  expect(await cleaning.untilDone('another', failing(0).work)).toBe(1);
  await expect(cleaning.untilDone('a third', failing(1).work)).rejects.toMatchObject({ code: 'aborted' });
});

test('a directory vanishes as a whole; one that is missing is no failure', async () => {
  const root = await mkdtemp(join(tmpdir(), 'waterbear-cleaning-'));
  try {
    const cleaning = new Cleaning(new ManualClock(), silentLog);
    await mkdir(join(root, 'vm', 'disk'), { recursive: true });
    await writeFile(join(root, 'vm', 'disk', 'layer'), 'x');
    await cleaning.removeDirectory(join(root, 'vm'));
    await cleaning.removeDirectory(join(root, 'vm'));
    expect(await readdir(root)).toEqual([]);
  } finally {
    await rm(root, { recursive: true });
  }
});
