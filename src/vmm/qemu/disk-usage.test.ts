// What would be free if it were removed.
import { link, lstat, mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { diskUsage } from './disk-usage.ts';

let place: string;
const at = (...names: string[]): string => join(place, ...names);
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'waterbear-usage-'));
  await mkdir(at('own', 'below'), { recursive: true });
  await writeFile(at('own', 'below', 'file'), 'x'.repeat(100_000));
});
afterEach(() => rm(place, { recursive: true, force: true }));

const blocksOf = async (...names: string[]): Promise<number> => (await lstat(at(...names))).blocks * 512;

test('of a directory, of a file, of nothing', async () => {
  const bytes = await blocksOf('own', 'below', 'file');
  expect(bytes).toBeGreaterThanOrEqual(100_000);
  expect(await diskUsage(at('own'))).toBe(bytes);
  expect(await diskUsage(at('own', 'below', 'file'))).toBe(bytes);
  expect(await diskUsage(at('missing'))).toBe(0);
});

test('holes and what a link leads to occupy nothing', async () => {
  const bytes = await diskUsage(at('own'));
  await writeFile(at('own', 'sparse'), '');
  await truncate(at('own', 'sparse'), 1e9);
  await mkdir(at('elsewhere'));
  await writeFile(at('elsewhere', 'file'), 'x'.repeat(100_000));
  await symlink(at('elsewhere'), at('own', 'link'));
  expect(await diskUsage(at('own'))).toBe(bytes);
  expect(await diskUsage(at('own', 'link'))).toBe(0);
});

test('a file with several names counts once, and not at all while one of them is elsewhere', async () => {
  const bytes = await diskUsage(at('own'));
  await link(at('own', 'below', 'file'), at('own', 'again'));
  expect(await diskUsage(at('own'))).toBe(bytes);
  expect(await diskUsage(at('own', 'below'))).toBe(0);
  await link(at('own', 'again'), at('copy'));
  expect(await diskUsage(at('own'))).toBe(0);
  expect(await diskUsage(at('copy'))).toBe(0);
});
