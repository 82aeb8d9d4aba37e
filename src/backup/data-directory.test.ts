import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { refuseWithoutDatabase } from './data-directory.ts';

let data: string;
beforeEach(async () => {
  data = await mkdtemp(join(tmpdir(), 'waterbear-without-'));
});
afterEach(() => rm(data, { recursive: true }));

test('a directory with MicroVMs or images and without a database is refused, and nothing is made in it', async () => {
  const check = (): Promise<void> => refuseWithoutDatabase(data);
  await check();
  for (const name of ['images', 'vms', 'vms/lost+found']) await mkdir(join(data, name));
  await check();
  await mkdir(join(data, 'vms', 'microvm-1'));
  await expect(check()).rejects.toThrow(/waterbear.db is damaged \(it is missing, although 0 images and 1 MicroVMs/);
  await writeFile(join(data, 'waterbear.db'), '');
  await expect(check()).rejects.toMatchObject({
    code: 'database_damaged',
    facts: { why: expect.stringMatching(/empty/) },
  });
  await writeFile(join(data, 'waterbear.db'), 'SQLite format 3');
  await check();
});
