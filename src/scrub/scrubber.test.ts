// When a pass begins by itself, how slowly it reads, and that it ends with its server.
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { silentLog } from '../lib/log.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { sealJson } from '../lib/sealed-json.ts';
import { openStore } from '../store/open-store.ts';
import { Reading } from './reading.ts';
import { openScrubber } from './scrubber.ts';

const dayMs = 86_400_000;
let dataDirectory: string;
let clock: ManualClock;
beforeEach(async () => {
  dataDirectory = await mkdtemp(join(tmpdir(), 'waterbear-scrubber-'));
  clock = new ManualClock();
  await using _ = await openStore(join(dataDirectory, 'waterbear.db'));
});
afterEach(() => rm(dataDirectory, { recursive: true }));

const open = (everyDays = 7) => openScrubber({ dataDirectory, everyDays, mibPerSecond: 1000, clock, log: silentLog });

test('a pass is due some days after the first start, then after the last pass, also over restarts', async () => {
  {
    await using scrubber = await open();
    expect(scrubber.startWhenDue()).toBe(false);
    await clock.advance(7 * dayMs - 1);
    expect(scrubber.startWhenDue()).toBe(false);
  }
  await clock.advance(1);
  await using scrubber = await open();
  expect(scrubber.startWhenDue()).toBe(true);
  expect(scrubber.startWhenDue()).toBe(false);
  await scrubber.idle();
  const { last, damage } = scrubber.status();
  expect([last?.ledger.count, damage]).toEqual([0, []]);
  expect(scrubber.startWhenDue()).toBe(false);
  await using never = await open(0);
  await clock.advance(1000 * dayMs);
  expect(never.startWhenDue()).toBe(false);
});

test('an unreadable file of what was found is no reason not to start', async () => {
  await writeFile(join(dataDirectory, 'scrub.json'), '{');
  await using scrubber = await open();
  expect(scrubber.status().damage).toEqual([]);
  expect(await readFile(join(dataDirectory, 'scrub.json'), 'utf8')).toContain('sinceMs');
});

test('damage is refused below its directory and nowhere else', async () => {
  const vm = join(dataDirectory, 'vms', 'microvm-1');
  await mkdir(join(vm, 'sleep-2'), { recursive: true });
  await writeFile(join(vm, 'sleep-2', 'manifest.json'), '{}');
  await using scrubber = await open();
  scrubber.start(0);
  await scrubber.idle();
  const file = join(vm, 'sleep-2', 'manifest.json');
  expect(scrubber.damageOf({ microvmId: 'microvm-1' })).toMatchObject([
    { file: join(vm, 'microvm.json'), why: 'it is missing' },
    { file },
  ]);
  expect(() => scrubber.refuseDamaged([join(vm, 'sleep-2')])).toThrow(file);
  scrubber.refuseDamaged([join(vm, 'sleep-20'), join(vm, 'sleep'), join(vm, 'disk')]);
  await rm(vm, { recursive: true });
  expect(scrubber.status().damage).toEqual([]);
});

test('it reads no faster than it may, and stops when it is told to', async () => {
  const path = join(dataDirectory, 'large');
  await writeFile(path, Buffer.alloc(5 << 20, 1));
  const abort = new AbortController();
  const reading = new Reading({ clock, mibPerSecond: 2, signal: abort.signal });
  const hashed = reading.hash(path, 'sha256');
  hashed.catch(() => {});
  const settled = async (): Promise<number> => {
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setTimeout(resolve, 1));
    return reading.bytes >> 20;
  };
  expect(await settled()).toBe(1);
  await clock.advance(499);
  expect(await settled()).toBe(1);
  await clock.advance(1);
  expect(await settled()).toBe(2);
  abort.abort();
  await expect(hashed).rejects.toMatchObject({ code: 'aborted' });
});

test('a directory that cannot be read is damage, and the rest is looked at all the same', async () => {
  const at = (...names: string[]): string => join(dataDirectory, ...names);
  await mkdir(at('vms'));
  await mkdir(at('objects', 'buckets', 'b', 'objects'), { recursive: true });
  // Links to themselves: reading them fails, and not because they are missing.
  const unreadable = [at('images'), at('vms', 'microvm-1'), at('objects', 'buckets', 'b', 'objects', '0a')];
  for (const path of unreadable) await symlink(path, path);
  await writeFile(at('objects', 'buckets', 'b', 'bucket.json'), '{');
  await using scrubber = await open();
  scrubber.start(0);
  await scrubber.idle();
  const found = scrubber.status().damage.map(({ file }) => file);
  expect(found.sort()).toEqual([...unreadable, at('objects', 'buckets', 'b', 'bucket.json')].sort());
});

test('a record in the directory of another one is damage', async () => {
  const image = join(dataDirectory, 'images', 'b1');
  const vm = join(dataDirectory, 'vms', 'microvm-1');
  await mkdir(image, { recursive: true });
  await mkdir(vm, { recursive: true });
  await writeFile(join(image, 'manifest.json'), sealJson({ format: 1, kind: 'image', files: [] }));
  const write = async (buildId: string, microvmId: string): Promise<void> => {
    await writeFile(join(image, 'image.json'), sealJson({ buildId }));
    await writeFile(join(vm, 'microvm.json'), sealJson({ microvmId }));
  };
  await write('b2', 'microvm-2');
  await using scrubber = await open();
  scrubber.start(0);
  await scrubber.idle();
  expect(scrubber.status().damage).toMatchObject([
    { file: join(vm, 'microvm.json'), why: 'its microvmId is not that of its directory' },
    { file: join(image, 'image.json'), why: 'its buildId is not that of its directory' },
  ]);
  await write('b1', 'microvm-1');
  scrubber.start(0);
  await scrubber.idle();
  expect(scrubber.status().damage).toEqual([]);
});
