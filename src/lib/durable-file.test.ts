import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FileOperation, setFileFaults } from './disk-faults.ts';
import {
  createFile,
  freshDirectory,
  makeDirectory,
  moveIntoPlace,
  remove,
  removeAsides,
  writeDurably,
  writeNew,
  writeStream,
} from './durable-file.ts';
import { run } from './process.ts';
import { sha256File } from './sha256-file.ts';

let directory: string;
const at = (...names: string[]): string => join(directory, ...names);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-files-'));
});

afterEach(async () => {
  setFileFaults(undefined);
  await rm(directory, { recursive: true });
});

const diskError = (code: string): Error => Object.assign(new Error(`${code}: as a test wants it`), { code });

/** The next `operation` fails, and notes of all that was done are kept. */
function failOnce(operation: FileOperation, code = 'EIO', partly = false): FileOperation[] {
  const done: FileOperation[] = [];
  let armed = true;
  setFileFaults((next) => {
    done.push(next);
    if (!armed || next !== operation) return undefined;
    armed = false;
    return { error: diskError(code), partly };
  });
  return done;
}

test('a file is replaced as a whole: written, synced, renamed, its directory synced', async () => {
  await writeDurably(at('a'), 'old');
  const done: FileOperation[] = [];
  setFileFaults((operation) => void done.push(operation));
  await writeDurably(at('a'), 'new', { mode: 0o640 });
  expect(done).toEqual(['create', 'write', 'sync', 'rename', 'sync']);
  expect(await readFile(at('a'), 'utf8')).toBe('new');
  expect((await stat(at('a'))).mode & 0o777).toBe(0o640);
});

test.each(['create', 'write', 'sync', 'rename'] as const)(
  'when %s fails, the old content stands alone',
  async (operation) => {
    await writeDurably(at('a'), 'old');
    failOnce(operation, 'ENOSPC', true);
    await expect(writeDurably(at('a'), 'new and longer')).rejects.toMatchObject({ code: 'disk_full' });
    expect(await readdir(directory)).toEqual(['a']);
    expect(await readFile(at('a'), 'utf8')).toBe('old');
    await writeDurably(at('a'), 'new and longer');
    expect(await readFile(at('a'), 'utf8')).toBe('new and longer');
  },
);

test('what a disk answers is a Fault that names the file; everything else stays as the system said it', async () => {
  failOnce('write', 'EIO');
  const error = await writeNew(at('a'), 'x').catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'disk_failed', facts: { why: 'EIO', path: at('a') }, cause: { code: 'EIO' } });
  expect(String(error)).toMatch(/^Fault: The host's disk failed at waterbear-files-\w+\/a \(EIO\)\. /);
  await expect(writeNew(at('missing', 'a'), 'x')).rejects.toMatchObject({ code: 'ENOENT' });
  await writeNew(at('a'), 'x');
  await expect(writeNew(at('a'), 'y')).rejects.toMatchObject({ code: 'EEXIST' });
  expect(await readFile(at('a'), 'utf8')).toBe('x');
});

test('a stream that is too long, breaks or finds no room leaves nothing', async () => {
  const limits = { maxBytes: 8, what: 'The object' };
  expect(await writeStream(at('whole'), Readable.from(['1234', Buffer.from('5678')]), limits)).toEqual({
    bytes: 8,
    md5: '25d55ad283aa400af464c76d713c07ad',
  });
  const long = Readable.from(['12345678', '9']);
  await expect(writeStream(at('long'), long, limits)).rejects.toMatchObject({ code: 'too_large' });
  expect(long.destroyed).toBe(true);
  const broken = new Readable({ read() {} });
  broken.push('12');
  setImmediate(() => broken.destroy(new Error('gone')));
  await expect(writeStream(at('broken'), broken, limits)).rejects.toThrow('gone');
  failOnce('write', 'ENOSPC', true);
  await expect(writeStream(at('full'), Readable.from(['1234']), limits)).rejects.toMatchObject({ code: 'disk_full' });
  expect(await readdir(directory)).toEqual(['whole']);
});

test('a new file takes many parts, and more than one write can have', async () => {
  const file = await createFile(at('parts'));
  const parts = Array.from({ length: 1_500 }, (_, i) => Buffer.from(`${i},`));
  await file.append(parts);
  await file.append([Buffer.alloc(0), Buffer.from('end')]);
  await file.sync();
  await file.close();
  const whole = Buffer.concat([...parts, Buffer.from('end')]);
  expect(file.bytes).toBe(whole.length);
  expect(await readFile(at('parts'))).toEqual(whole);
  expect(await sha256File(at('parts'))).toHaveLength(64);
});

test('a move that cannot be made durable did not happen', async () => {
  await freshDirectory(at('.aside'));
  await writeNew(at('.aside', 'file'), 'x');
  failOnce('sync');
  await expect(moveIntoPlace(at('.aside'), at('place'))).rejects.toMatchObject({ code: 'disk_failed' });
  expect(await readdir(directory)).toEqual(['.aside']);
  await moveIntoPlace(at('.aside'), at('place'));
  expect(await readdir(at('place'))).toEqual(['file']);
});

test('directories are made with their parents, and each entry is synced', async () => {
  const done: FileOperation[] = [];
  setFileFaults((operation) => void done.push(operation));
  await makeDirectory(at('a', 'b', 'c'));
  expect(done).toEqual(['mkdir', 'sync', 'sync', 'sync']);
  await makeDirectory(at('a', 'b', 'c'));
  expect(done).toHaveLength(5);
});

test('a fresh directory is empty, and its parent must be there', async () => {
  await mkdir(at('work'));
  await writeFile(at('work', 'old'), 'x');
  await freshDirectory(at('work'));
  expect(await readdir(at('work'))).toEqual([]);
  await expect(freshDirectory(at('missing', 'work'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('what cannot be removed says why', async ({ skip }) => {
  await mkdir(at('tree'));
  await writeFile(at('tree', 'file'), 'x');
  const change = (how: '+i' | '-i') => run('chattr', [how, at('tree', 'file')]);
  if (await change('+i').catch(() => undefined)) {
    await expect(remove(at('tree')).finally(() => change('-i'))).rejects.toMatchObject({
      code: 'EPERM',
      syscall: 'unlink',
    });
  } else skip('needs root and a file system that has immutable files');
});

test('what a crash left beside a file goes, and nothing else', async () => {
  for (const name of ['tokens.json', 'tokens.json.0123abcd.new', 'image.new']) await writeFile(at(name), 'x');
  await removeAsides(directory);
  expect((await readdir(directory)).sort()).toEqual(['image.new', 'tokens.json']);
  await removeAsides(directory, (name) => name === 'image.new');
  expect(await readdir(directory)).toEqual(['tokens.json']);
  await removeAsides(at('missing'));
});
