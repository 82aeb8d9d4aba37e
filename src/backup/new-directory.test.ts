// Where a copy may be made, and what is left when making it does not come to its end.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { refuseCopies } from './data-directory.ts';
import { makeWhole, requirePlace } from './new-directory.ts';

let place: string;
let source: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'waterbear-place-'));
  source = join(place, 'source');
  await mkdir(join(source, 'vms'), { recursive: true });
});
afterEach(() => rm(place, { recursive: true }));

const check = (path: string): Promise<void> => requirePlace({ path, source, bytes: 0 });

test('a missing or an empty directory is a place', async () => {
  await mkdir(join(place, 'empty'));
  await check(join(place, 'empty'));
  await check(join(place, 'missing'));
});

test('a file, a link, a directory with content, one without a parent, and one in the source are none', async () => {
  await writeFile(join(place, 'file'), '');
  await mkdir(join(place, 'full', 'inside'), { recursive: true });
  await mkdir(join(place, 'empty'));
  await symlink('empty', join(place, 'link'));
  await symlink('nowhere', join(place, 'dangling'));
  await symlink('source', join(place, 'other-name'));
  const refused: [string, RegExp][] = [
    [join(place, 'file'), /it is a file/],
    [join(place, 'link'), /it is a symbolic link/],
    [join(place, 'dangling'), /it is a symbolic link/],
    [join(place, 'full'), /it holds something already/],
    [join(place, 'file', 'below'), /There is no directory/],
    [join(place, 'missing', 'below'), /There is no directory/],
    [join(source, 'backup'), /it is inside of/],
    [join(source, 'vms', 'backup'), /it is inside of/],
    [join(place, 'other-name', 'backup'), /it is inside of/],
  ];
  for (const [path, why] of refused) await expect(check(path), path).rejects.toThrow(why);
  await expect(requirePlace({ path: join(place, 'new'), source, bytes: 2 ** 60 })).rejects.toMatchObject({
    code: 'capacity_exhausted',
  });
});

test.skipIf(process.getuid?.() !== 0)(
  'a directory on which a file system is mounted is told before anything is copied',
  async () => {
    const mounted = join(place, 'mounted');
    await mkdir(mounted);
    execFileSync('mount', ['-t', 'tmpfs', 'none', mounted]);
    try {
      await expect(check(mounted)).rejects.toThrow(`a file system is mounted there: name a new directory in it`);
    } finally {
      execFileSync('umount', [mounted]);
    }
  },
);

test('two at once: the second is refused, and the first comes to its end', async () => {
  const target = join(place, 'target');
  let second: Promise<void> | undefined;
  await makeWhole(target, async (aside) => {
    await writeFile(join(aside, 'content'), 'of the first');
    second = makeWhole(target, () => Promise.resolve());
    await expect(second).rejects.toMatchObject({ code: 'conflict' });
  });
  expect(await readdir(target)).toEqual(['content']);
  expect(await readFile(join(target, 'content'), 'utf8')).toBe('of the first');
});

test('what is being made is no data directory for a server until it is whole, and a failure leaves nothing', async () => {
  const target = join(place, 'target');
  const failing = makeWhole(target, async (aside) => {
    await writeFile(join(aside, 'waterbear.db'), '');
    await expect(refuseCopies(aside)).rejects.toMatchObject({ code: 'conflict' });
    throw new Error('it failed');
  });
  await expect(failing).rejects.toThrow('it failed');
  expect(await readdir(place)).toEqual(['source']);
  await makeWhole(target, (aside) => writeFile(join(aside, 'waterbear.db'), ''));
  await refuseCopies(target);
  await writeFile(join(target, 'backup.json'), '');
  await expect(refuseCopies(target)).rejects.toThrow(/is a backup/);
});
