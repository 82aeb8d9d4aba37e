// How long the memory of images is kept. A script stands in for the helper that makes memory files: it opens a file of its own.
import { readdirSync, readlinkSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ImageCache, imageFiles } from './image-cache.ts';
import { type EngineRecord, recordFile, writeManifest } from './manifest.ts';
import { pageBytes, writePageRuns } from './page-runs.ts';

const engine: EngineRecord = { driver: 'qemu', qemu: '7', accelerator: 'tcg', machine: 'm', cpu: 'c', network: 'none' };
let directory = '';
let cache: ImageCache;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'image-cache-'));
  const helper = join(directory, 'seal');
  const script = `#!/bin/sh\nexec 9<>"${directory}/$2.memory"\necho fd 9\nread line && echo sealed\nread line\n`;
  await writeFile(helper, script, { mode: 0o755 });
  cache = new ImageCache(helper, () => engine, 1);
});
afterEach(async () => {
  cache.close();
  await rm(directory, { recursive: true });
});

async function* pages() {
  yield [{ firstPage: 3, data: Buffer.alloc(pageBytes, 7) }];
}

async function image(name: string): Promise<string> {
  const path = join(directory, name);
  await mkdir(path);
  await writeFile(join(path, imageFiles.state), name);
  const memory = await writePageRuns(join(path, imageFiles.memory), 256, pages());
  const files = [await recordFile(path, imageFiles.memory, memory), await recordFile(path, imageFiles.state)];
  const guest = { kernel: 'k', agent: 'a' };
  await writeManifest(path, { kind: 'image', createdMs: 1, engine, guest, memoryMib: 1, vcpus: 1, files, layers: [] });
  return path;
}

/** Memory files that this process has open. A number that is closed between the two calls is none of them. */
const held = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(`${directory}/wb-`);
    } catch {
      return false;
    }
  }).length;
/** Memory is given back in a microtask. */
const heldSoon = (): Promise<number> =>
  Promise.resolve().then(() => new Promise((done) => setImmediate(() => done(held()))));

test('an image that nobody uses is kept, until it is forgotten', async () => {
  const a = await image('a');
  (await cache.acquire(a)).release();
  expect(await heldSoon()).toBe(1);
  cache.forget(a);
  expect(await heldSoon()).toBe(0);
  cache.forget(a);
  cache.forget('/never/there');
});

test('a forgotten image is held by its leases, and loaded anew for the next', async () => {
  const a = await image('a');
  const [first, second] = [await cache.acquire(a), await cache.acquire(a)];
  cache.forget(a);
  first.release();
  first.release();
  expect(await heldSoon()).toBe(1);
  const again = await cache.acquire(a);
  expect(again.image).not.toBe(second.image);
  expect(await heldSoon()).toBe(2);
  second.release();
  expect(await heldSoon()).toBe(1);
  again.release();
  expect(await heldSoon()).toBe(1);
});

test('an image that is forgotten while it is loaded is given back with its first lease', async () => {
  const a = await image('a');
  const loading = cache.acquire(a);
  cache.forget(a);
  const { release } = await loading;
  expect(await heldSoon()).toBe(1);
  release();
  expect(await heldSoon()).toBe(0);
});

test('of the images that nobody uses, the most recently used stay', async () => {
  for (const name of ['a', 'b']) (await cache.acquire(await image(name))).release();
  expect(await heldSoon()).toBe(1);
  const { image: kept } = await cache.acquire(join(directory, 'b'));
  expect(kept.manifest.memoryMib).toBe(1);
  expect(await heldSoon()).toBe(1);
});
