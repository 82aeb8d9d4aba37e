// What Node makes of the sources is kept for the next start, where nobody but the caller can write; then it is executed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmod,
  chown,
  copyFile,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';
import { runOf } from '../support/crash-images.ts';

const repository = resolve(import.meta.dirname, '../..');
let root: string;
let cache: string;
/** A repository of its own, with what set-up makes elsewhere. */
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'waterbear-compiled-'));
  cache = join(root, '.waterbear/cache/node');
  await mkdir(join(root, 'bin'));
  await mkdir(join(root, '.waterbear/cache'), { recursive: true });
  await copyFile(join(repository, 'bin/waterbear'), join(root, 'bin/waterbear'));
  for (const name of ['cli', 'src', 'node_modules', 'package.json'])
    await symlink(join(repository, name), join(root, name));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const { NODE_COMPILE_CACHE: _, ...env } = process.env;
const help = async (): Promise<string> => (await run(join(root, 'bin/waterbear'), ['--help'], { env })).stdout;

/** Every file of the cache with the inode it has: one that is written anew has another. */
async function entries(): Promise<Map<string, number>> {
  const found = await readdir(cache, { recursive: true, withFileTypes: true });
  const files = found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return new Map(await Promise.all(files.map(async (file) => [file, (await stat(file)).ino] as const)));
}

test('a command keeps what was compiled, the next one uses it, and what is damaged is made anew', async () => {
  const said = await help();
  expect(said).toContain('waterbear serve');
  expect((await stat(cache)).mode & 0o777).toBe(0o700);
  const kept = await entries();
  expect(kept.size).toBeGreaterThan(100);
  expect(await help()).toBe(said);
  expect(await entries()).toEqual(kept);
  for (const [i, file] of [...kept.keys()].entries()) {
    const bytes = await readFile(file);
    if (i % 3 === 0) await writeFile(file, bytes.subarray(0, i % bytes.length));
    else await writeFile(file, bytes.with(i % bytes.length, (bytes[i % bytes.length] ?? 0) ^ 0x55));
  }
  expect(await help()).toBe(said);
  const mended = await entries();
  expect(mended.size).toBe(kept.size);
  expect([...mended].filter(([file, inode]) => kept.get(file) === inode)).toEqual([]);
});

test('commands that begin together fill one cache', async () => {
  const said = await Promise.all(Array.from({ length: 4 }, help));
  expect(new Set(said).size).toBe(1);
  const kept = await entries();
  expect([...kept.keys()].filter((file) => !/\/[0-9a-f]+$/.test(file))).toEqual([]);
  expect(await help()).toBe(said[0]);
  expect(await entries()).toEqual(kept);
});

test('a server that is killed leaves the next one what was compiled', async () => {
  const args = ['serve', '--driver', 'fake', '--data', join(root, 'data'), '--api-port', '0', '--gateway-port', '0'];
  const server = spawn(join(root, 'bin/waterbear'), args, { stdio: ['ignore', 'ignore', 'inherit', 'ipc'], env });
  const ended = once(server, 'exit');
  try {
    await Promise.race([once(server, 'message'), ended.then(() => Promise.reject(new Error('it ended')))]);
    await expect.poll(async () => (await entries()).size, { timeout: 20_000 }).toBeGreaterThan(1_000);
  } finally {
    server.kill('SIGKILL');
    await ended;
    await rm(runOf(join(root, 'data')), { recursive: true, force: true });
  }
});

test('a directory in which somebody else can write, or that is somewhere else, is not used', async () => {
  const elsewhere = join(root, 'elsewhere');
  await mkdir(elsewhere, { mode: 0o700 });
  await symlink(elsewhere, cache);
  await help();
  expect(await readdir(elsewhere)).toEqual([]);
  await rm(cache);
  await mkdir(cache);
  for (const mode of [0o770, 0o702, 0o1777]) {
    await chmod(cache, mode);
    await help();
    expect(await readdir(cache)).toEqual([]);
  }
  await chmod(cache, 0o700);
  await chown(cache, 64_321, 0);
  await help();
  expect(await readdir(cache)).toEqual([]);
  await chown(cache, 0, 0);
  await help();
  expect(await readdir(cache)).toHaveLength(1);
});
