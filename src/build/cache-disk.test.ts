import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type CacheDisk, takeCacheDisk } from './cache-disk.ts';

let base = '';
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'waterbear-cache-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const take = (account: string, build: string): Promise<CacheDisk> => {
  mkdirSync(join(base, build), { recursive: true });
  return takeCacheDisk(join(base, 'caches'), account, join(base, build), 8);
};
const [one, other] = ['111111111111', '222222222222'];

test('what a build leaves is found by the next one of its account, and by no other', async () => {
  const first = await take(one, 'a');
  expect(statSync(first.path).size).toBe(8 << 20);
  expect(statSync(first.path).blocks).toBe(0);
  writeFileSync(first.path, 'layers');
  await first.giveBack();
  expect(statSync((await take(other, 'b')).path).size).toBe(8 << 20);
  expect(readFileSync((await take(one, 'c')).path, 'utf8')).toBe('layers');
});

test('one build at a time has it; what is not given back is gone', async () => {
  const first = await take(one, 'a');
  writeFileSync(first.path, 'half-written');
  const second = await take(one, 'b');
  expect(statSync(second.path).size).toBe(8 << 20);
  expect(existsSync(join(base, 'caches', `${one}.disk`))).toBe(false);
  await second.giveBack();
  expect(statSync((await take(one, 'c')).path).size).toBe(8 << 20);
});

test('an account that is none leads to no path', async () => {
  await expect(take('../../etc/x', 'a')).rejects.toMatchObject({ code: 'internal' });
});
