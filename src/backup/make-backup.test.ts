// Backups of small data directories in which something is odd: each one that is made can be restored.
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import SqliteDatabase from 'better-sqlite3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { setFileFaults } from '../lib/disk-faults.ts';
import { openSealed, sealJson } from '../lib/sealed-json.ts';
import { sha256File } from '../lib/sha256-file.ts';
import { checkDatabaseFile } from '../store/check-database.ts';
import { openStore } from '../store/open-store.ts';
import type { BackupManifest } from './backup-manifest.ts';
import { type BackupReport, makeBackup } from './make-backup.ts';
import { type RestoreReport, restoreBackup } from './restore-backup.ts';

const never = new AbortController().signal;
let place: string;
let data: string;
let target: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), 'waterbear-odd-'));
  [data, target] = [join(place, 'data'), join(place, 'backup')];
  await mkdir(join(data, 'keys'), { recursive: true });
  await mkdir(join(data, 'logs'));
  await writeFile(join(data, 'keys', 'tokens.json'), '{}');
});
afterEach(async () => {
  setFileFaults(undefined);
  await rm(place, { recursive: true });
});

async function newDatabase(): Promise<void> {
  await using _ = await openStore(join(data, 'waterbear.db'));
}

const back = (more: object = {}): Promise<BackupReport> =>
  makeBackup({ dataDirectory: data, target, version: '0', now: () => 1, onProgress: () => {}, signal: never, ...more });

const restore = (more: object = {}): Promise<RestoreReport> => {
  const dataDirectory = join(place, 'restored');
  return restoreBackup({ backup: target, dataDirectory, nowMs: 2, onProgress: () => {}, signal: never, ...more });
};

async function putImage(buildId: string): Promise<void> {
  const directory = join(data, 'images', buildId);
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'manifest.json'), JSON.stringify({ format: 1, kind: 'image', files: [] }));
  await writeFile(join(directory, 'image.json'), '{}');
}

test('a file with a name that no backup can hold is told, and the rest can be restored', async () => {
  await newDatabase();
  for (const name of ['ca (old).key', '.hidden', 'tokens.json~']) await writeFile(join(data, 'keys', name), '');
  const { leftOut } = await back();
  expect(leftOut.map((text) => text.split(':')[0]).sort()).toEqual(
    ['keys/.hidden', 'keys/ca (old).key', 'keys/tokens.json~'].sort(),
  );
  await restore();
  expect(await readdir(join(place, 'restored', 'keys'))).toEqual(['tokens.json']);
});

test('the database of an earlier version is no damage, and is brought up to date by the restore', async () => {
  const sqlite = new SqliteDatabase(join(data, 'waterbear.db'));
  sqlite.exec(await readFile(join(import.meta.dirname, '../store/testing/schema-005.sql'), 'utf8'));
  sqlite.close();
  await back();
  expect(checkDatabaseFile(join(target, 'waterbear.db'))).toMatchObject({ problems: [], isOld: true });
  await restore();
  expect(checkDatabaseFile(join(place, 'restored', 'waterbear.db'))).toMatchObject({ problems: [], isOld: false });
});

test('the database of a newer version is refused before anything is made, by its own name', async () => {
  await newDatabase();
  await back();
  const add = (path: string): void => {
    const sqlite = new SqliteDatabase(path);
    sqlite.exec("insert into kysely_migration values ('999-next', '2030-01-01T00:00:00.000Z')");
    sqlite.close();
  };
  add(join(data, 'waterbear.db'));
  const other = join(place, 'other');
  await expect(back({ target: other })).rejects.toMatchObject({ code: 'newer_data' });
  add(join(target, 'waterbear.db'));
  const list = join(target, 'backup.json');
  const manifest = JSON.parse(openSealed(await readFile(list, 'utf8'))) as BackupManifest;
  const sha256 = await sha256File(join(target, 'waterbear.db'));
  const files = manifest.files.map((file) => (file.path === 'waterbear.db' ? { ...file, sha256 } : file));
  await writeFile(list, sealJson({ ...manifest, files }));
  await expect(restore()).rejects.toMatchObject({
    code: 'newer_data',
    facts: { file: join(target, 'waterbear.db'), found: '999-next' },
  });
  expect((await readdir(place)).sort()).toEqual(['backup', 'data']);
});

test('an empty database is said to be damaged', async () => {
  await writeFile(join(data, 'waterbear.db'), '');
  await expect(back()).rejects.toMatchObject({ code: 'database_damaged' });
});

test('a backup says of when its rows are, not of when it began', async () => {
  await newDatabase();
  const aside = `${target}.new`;
  let begun = 0;
  await back({ now: () => (execFileSync('ls', [aside]).includes('waterbear.db') ? 1_000 : begun++) });
  expect((await restore()).createdMs).toBe(1_000);
});

test('a disk that is full before the end leaves nothing, whatever it was that found no room', async () => {
  await newDatabase();
  await putImage('b1');
  setFileFaults((operation, path) =>
    operation === 'copy' && path.endsWith('image.json')
      ? { error: Object.assign(new Error('no space'), { code: 'ENOSPC' }) }
      : undefined,
  );
  await expect(back()).rejects.toMatchObject({
    code: 'disk_full',
    message: expect.stringContaining(`${target}.new/images/b1/image.json`),
  });
  expect(await readdir(place)).toEqual(['data']);
});

test('a backup and a restore that are told to stop leave nothing, at whatever file they are', async () => {
  await newDatabase();
  await putImage('b1');
  for (let stopAt = 1; ; stopAt++) {
    const stop = new AbortController();
    let calls = 0;
    const made = await back({
      signal: stop.signal,
      onProgress: () => {
        calls += 1;
        if (calls === stopAt) stop.abort();
      },
    }).catch((error: unknown) => error);
    if (calls <= stopAt) break;
    expect(made).toMatchObject({ code: 'aborted' });
    expect(await readdir(place)).toEqual(['data']);
  }
});

test('a pipe in the place of a file of a backup is refused by name instead of being waited for', async () => {
  await newDatabase();
  await back();
  const file = join(target, 'keys', 'tokens.json');
  await rm(file);
  execFileSync('mkfifo', [file]);
  await expect(restore()).rejects.toMatchObject({ code: 'backup_damaged', facts: { file } });
  await rm(file);
  await symlink('/dev/zero', file);
  await expect(restore()).rejects.toMatchObject({ code: 'backup_damaged', facts: { file } });
  expect((await stat(target)).isDirectory()).toBe(true);
});
