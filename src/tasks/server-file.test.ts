import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { setFileFaults } from '../lib/disk-faults.ts';
import { type Log, silentLog } from '../lib/log.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { serverFile } from './server-file.ts';

let directory: string;
const events: string[] = [];
const log: Log = { ...silentLog, warn: (event) => events.push(event), error: (event) => events.push(event) };
beforeEach(async () => {
  events.length = 0;
  directory = await mkdtemp(join(tmpdir(), 'waterbear-server-file-'));
});
afterEach(async () => {
  setFileFaults(undefined);
  await rm(directory, { recursive: true });
});

test('it is written once', async () => {
  const path = join(directory, 'server.json');
  const task = serverFile({ path, content: 'where', clock: new ManualClock(), log });
  expect([await task.run(), await task.run()]).toEqual([1, 0]);
  expect(await readFile(path, 'utf8')).toBe('where');
  expect(events).toEqual([]);
});

test('one that cannot be written is tried again every few seconds, and said once', async () => {
  const path = join(directory, 'server.json');
  const clock = new ManualClock();
  const task = serverFile({ path, content: 'where', clock, log });
  let attempts = 0;
  setFileFaults((operation) => {
    if (operation === 'create') attempts += 1;
    return { error: Object.assign(new Error('EIO'), { code: 'EIO' }), partly: false };
  });
  for (let second = 0; second < 12; second++) {
    expect(await task.run()).toBe(0);
    await clock.advance(1000);
  }
  expect([attempts, events, await readdir(directory)]).toEqual([3, ['no_server_file'], []]);
  setFileFaults(undefined);
  await clock.advance(5000);
  expect(await task.run()).toBe(1);
  expect(await readFile(path, 'utf8')).toBe('where');
  expect(events).toEqual(['no_server_file', 'server_file_written']);
});
