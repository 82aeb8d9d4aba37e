import { mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { systemClock } from './clock.ts';
import { openLineFile } from './line-file.ts';
import { silentLog } from './log.ts';
import { run } from './process.ts';

let directory: string;
let path: string;
let said: [string, Record<string, unknown> | undefined][];
const log = { ...silentLog, warn: (event: string, facts?: Record<string, unknown>) => said.push([event, facts]) };
const options = { clock: systemClock, log };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-lines-'));
  path = join(directory, 'access.log');
  said = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const lines = async (of = path): Promise<string[]> => (await readFile(of, 'utf8')).split('\n').slice(0, -1);
const names = (from: number, to: number): string[] => Array.from({ length: to - from }, (_, i) => `line ${from + i}`);

async function until(what: () => Promise<boolean>): Promise<void> {
  while (!(await what())) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('lines are written together, in order, without being asked; the file is private and appended to', async () => {
  for (const [from, to] of [
    [0, 1000],
    [1000, 1001],
  ] as const) {
    await using file = await openLineFile(path, options);
    for (const name of names(from, to)) file.write(name);
    await until(async () => (await lines()).length === to);
  }
  expect(await lines()).toEqual(names(0, 1001));
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(said).toEqual([]);
});

test('closing writes what waits', async () => {
  const file = await openLineFile(path, { ...options, gatherMs: 60_000 });
  for (const name of names(0, 20_000)) file.write(name);
  await file[Symbol.asyncDispose]();
  expect(await lines()).toEqual(names(0, 20_000));
});

test('after the file was moved away, the next lines go to a new one and none is lost', async () => {
  await using file = await openLineFile(path, options);
  for (const name of names(0, 100)) file.write(name);
  await rename(path, `${path}.1`);
  file.reopen();
  await until(() =>
    stat(path).then(
      () => true,
      () => false,
    ),
  );
  for (const name of names(100, 200)) file.write(name);
  await until(async () => (await lines()).at(-1) === 'line 199');
  expect([...(await lines(`${path}.1`)), ...(await lines())]).toEqual(names(0, 200));
});

test('when nobody takes what is written, memory stays bounded and the loss is counted and told once', async () => {
  await run('mkfifo', [path], { timeoutMs: 5000 });
  // Opened for both, a pipe has a reader that never reads.
  const reader = await open(path, 'r+');
  const file = await openLineFile(path, { ...options, maxWaiting: 200_000 });
  const line = 'x'.repeat(999);
  for (let i = 0; i < 1000; i++) {
    file.write(line);
    if (i % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(file.lost).toBeGreaterThan(300);
  expect(said).toEqual([['line_file.lines_lost', { path, lost: 1, why: expect.any(String) }]]);
  // Drained, it goes on, and every line that was taken comes out whole.
  const taken = 1000 - file.lost;
  let text = '';
  while (text.length < taken * 1000) text += (await reader.read()).buffer.toString('latin1').replaceAll('\0', '');
  expect(
    text
      .split('\n')
      .slice(0, -1)
      .every((one) => one === line),
  ).toBe(true);
  await file[Symbol.asyncDispose]();
  await reader.close();
});

test('a disk that stays full is told, and what could not be written is counted', async () => {
  const file = await openLineFile('/dev/full', options);
  file.write('one');
  await until(async () => said.length > 0);
  expect(said).toEqual([['line_file.write_failed', { path: '/dev/full', error: expect.stringContaining('ENOSPC') }]]);
  await file[Symbol.asyncDispose]();
  expect(file.lost).toBe(1);
});

test('a directory that is not there is a clear refusal', async () => {
  await expect(openLineFile(join(directory, 'none', 'log'), options)).rejects.toMatchObject({ code: 'invalid_input' });
});
