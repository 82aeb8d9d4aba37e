import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type ZipEntry, zipOf } from '../../tests/support/zip.ts';
import { isFault } from '../lib/errors.ts';
import { type ArchiveLimits, defaultArchiveLimits, extractArchive } from './archive.ts';

const dockerfile: ZipEntry = { name: 'Dockerfile', data: 'FROM scratch\n' };
let base = '';

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'waterbear-archive-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const at = (...path: string[]): string => join(base, 'deep', 'out', ...path);

/** Extracts into a directory two levels below `base`, so that an escape shows up in `base`. */
async function extract(zip: Uint8Array, limits: Partial<ArchiveLimits> = {}, signal?: AbortSignal) {
  rmSync(join(base, 'deep'), { recursive: true, force: true });
  mkdirSync(at(), { recursive: true });
  writeFileSync(join(base, 'a.zip'), zip);
  return extractArchive(join(base, 'a.zip'), at(), {
    limits: { ...defaultArchiveLimits, ...limits },
    ...(signal ? { signal } : {}),
  });
}

async function reason(zip: Uint8Array, limits: Partial<ArchiveLimits> = {}): Promise<string> {
  try {
    await extract(zip, limits);
  } catch (error) {
    if (isFault(error, 'build_failed')) return `${error.facts.reason}: ${error.facts.what}`;
    throw error;
  }
  return 'accepted';
}

test('files, directories, modes and links come out as they went in', async () => {
  const result = await extract(
    zipOf([
      dockerfile,
      { name: 'bin/', mode: 0o040755 },
      { name: 'bin/start', data: 'x'.repeat(50_000), mode: 0o100755 },
      { name: './bin/setuid', data: 'y', mode: 0o106755 },
      { name: 'plain', data: 'z', mode: 0, madeBy: 0, stored: true },
      { name: 'link', data: 'bin/start', mode: 0o120777 },
      { name: 'bin/up', data: '../plain', mode: 0o120777 },
    ]),
  );
  expect(result).toEqual({ entries: 7, unpackedBytes: 13 + 50_000 + 1 + 1 + 9 + 8 });
  expect(lstatSync(at('bin/start')).mode & 0o7777).toBe(0o755);
  expect(lstatSync(at('bin/setuid')).mode & 0o7777).toBe(0o755);
  expect(lstatSync(at('plain')).mode & 0o7777).toBe(0o644);
  expect(readlinkSync(at('link'))).toBe('bin/start');
  expect(readFileSync(at('bin/up'), 'utf8')).toBe('z');
});

test.each<[string, ZipEntry[]]>([
  ['invalid relative path', [{ name: '../escaped' }]],
  ['invalid relative path', [{ name: 'a/../../escaped' }]],
  ['absolute', [{ name: '/etc/cron.d/x' }]],
  ['absolute', [{ name: 'C:/x' }]],
  ['backslash|invalid characters', [{ name: '..\\escaped' }]],
  ['zero byte', [{ name: 'a\0b' }]],
  ['longer than 255', [{ name: 'n'.repeat(256) }]],
  ['more than once', [{ name: 'a' }, { name: './a' }]],
  [
    'more than once',
    [
      { name: 'a/', mode: 0o040755 },
      { name: 'a/', mode: 0o040755 },
    ],
  ],
  ['more than once', [{ name: 'a/b' }, { name: 'a' }]],
  ['below "a", which is a file', [{ name: 'a' }, { name: 'a/b' }]],
  ['below "l", which is a symlink', [{ name: 'l', data: 'd', mode: 0o120777 }, { name: 'l/x' }]],
  ['more than once', [{ name: 'l/x' }, { name: 'l', data: 'd', mode: 0o120777 }]],
  ['absolute path "/etc/shadow"', [{ name: 'l', data: '/etc/shadow', mode: 0o120777 }]],
  ['points outside', [{ name: 'd/l', data: '../../x', mode: 0o120777 }]],
  ['`..` after a name', [{ name: 'l', data: 'd/../x', mode: 0o120777 }]],
  ['malformed target', [{ name: 'l', data: '', mode: 0o120777 }]],
  ['target that is too long', [{ name: 'l', data: 'x'.repeat(5000), mode: 0o120777 }]],
  ['encrypted', [{ name: 'a', data: 'x', flags: 1 }]],
  ['neither a file', [{ name: 'fifo', mode: 0o010644 }]],
  ['neither a file', [{ name: 'disk', mode: 0o060600 }]],
  ['cannot be read', [{ name: 'a', data: 'x', method: 99 }]],
  ['cannot be read', [{ name: 'a', data: 'x'.repeat(100), declaredBytes: 10 }]],
  ['cannot be read', [{ name: 'a', data: 'x', declaredBytes: 10 }]],
])('refused: %s', async (why, entries) => {
  expect(await reason(zipOf([dockerfile, ...entries]))).toMatch(new RegExp(`^ARCHIVE_INVALID: .*(${why})`));
  expect(readdirSync(base).sort()).toEqual(['a.zip', 'deep']);
  expect(readdirSync(join(base, 'deep'))).toEqual(['out']);
});

test('limits: zip, entries, declared count, unpacked bytes, ratio', async () => {
  const big = zipOf([dockerfile, { name: 'zeros', data: Buffer.alloc(3_000_000) }]);
  expect(await reason(big, { zipBytes: 100 })).toContain('larger than 100 bytes');
  expect(await reason(big, { unpackedBytes: 2_999_999 })).toContain('more than 2999999 bytes');
  expect(await reason(big, { ratioFloorBytes: 1_000_000 })).toContain('more than 200 times');
  expect(await reason(big)).toBe('accepted');
  const many = [dockerfile, ...Array.from({ length: 10 }, (_, i) => ({ name: `f${i}` }))];
  expect(await reason(zipOf(many), { entries: 10 })).toContain('more than 10 entries');
  expect(await extract(zipOf(many, 3), { entries: 10 })).toMatchObject({ entries: 3 });
});

test('the Dockerfile must be a regular file at the root', async () => {
  for (const entries of [
    [{ name: 'app/Dockerfile', data: 'FROM scratch' }],
    [{ name: 'dockerfile' }],
    [{ name: 'Dockerfile/', mode: 0o040755 }],
    [{ name: 'Dockerfile', data: 'x', mode: 0o120777 }],
    [],
  ]) {
    expect(await reason(zipOf(entries))).toMatch(/^ARCHIVE_DOCKERFILE_NOT_FOUND/);
  }
});

test('an aborted signal stops it', async () => {
  await expect(extract(zipOf([dockerfile]), {}, AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });
});

test('whatever the bytes are, the answer is a clear fault or nothing outside the directory', async () => {
  const honest = zipOf([dockerfile, { name: 'a/b', data: 'hello' }, { name: 'l', data: 'a', mode: 0o120777 }]);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(fc.nat(honest.length - 1), fc.nat(255)), { maxLength: 6 }), async (changes) => {
      const zip = Buffer.from(honest);
      for (const [index, value] of changes) zip[index] = value;
      await reason(zip);
      expect(existsSync(join(base, 'escaped'))).toBe(false);
      expect(readdirSync(base).sort()).toEqual(['a.zip', 'deep']);
    }),
    { numRuns: 300 },
  );
});

test('whatever the names are, everything written lies below the directory', async () => {
  const part = fc.constantFrom('..', '.', '', 'a', 'b', 'Dockerfile', '/', 'l', '..a');
  const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
  const entry = fc.record({ name, data: name, mode: fc.constantFrom(0o100644, 0o120777, 0o040755) });
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 5 }), async (entries) => {
      await reason(zipOf([dockerfile, ...entries]));
      expect(readdirSync(base).sort()).toEqual(['a.zip', 'deep']);
      expect(readdirSync(join(base, 'deep'))).toEqual(['out']);
    }),
    { numRuns: 300 },
  );
});
