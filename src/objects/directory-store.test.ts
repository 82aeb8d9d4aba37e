// The directory store: what goes in comes out, whatever the key; failures and crashes leave the old object or the new one.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ObjectStore } from '../contract/object-store.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { openDirectoryStore } from './directory-store.ts';

const meta = { contentType: 'text/plain', metadata: { who: 'me' } };
const clock = new ManualClock();
let parent: string;
let store: ObjectStore;
const open = (more: object = {}) =>
  openDirectoryStore({ dir: join(parent, 'store'), clock, minPartBytes: 10, ...more });

beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'waterbear-objects-'));
  store = await open();
  await store.createBucket('bucket', 'owner');
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const put = (key: string, text: string | Buffer) => store.put('bucket', key, Readable.from([Buffer.from(text)]), meta);
const get = async (key: string, range?: { start: number; end: number }) =>
  (await buffer((await store.get('bucket', key, range)).body)).toString();
const files = async (): Promise<string[]> =>
  (await readdir(join(parent, 'store'), { recursive: true, withFileTypes: true }))
    .filter((each) => each.isFile())
    .map((each) => join(each.parentPath, each.name));
const broken = (error: Error): Readable =>
  Readable.from(
    (async function* () {
      yield Buffer.from('half of ');
      throw error;
    })(),
  );

test('put, head, get, range, overwrite, delete', async () => {
  const info = await put('key', 'hello world');
  expect(info).toEqual({
    key: 'key',
    bytes: 11,
    etag: `"${createHash('md5').update('hello world').digest('hex')}"`,
    lastModifiedMs: clock.now(),
    ...meta,
  });
  expect(await store.head('bucket', 'key')).toEqual(info);
  expect(await get('key')).toBe('hello world');
  expect(await get('key', { start: 4, end: 6 })).toBe('o w');
  expect(await get('key', { start: 6, end: 1000 })).toBe('world');
  await expect(store.get('bucket', 'key', { start: 11, end: 12 })).rejects.toMatchObject({ code: 'invalid_input' });
  await put('key', '');
  expect(await get('key')).toBe('');
  await store.delete('bucket', 'key');
  await store.delete('bucket', 'key');
  await expect(store.head('bucket', 'key')).rejects.toMatchObject({ code: 'not_found', facts: { kind: 'object' } });
  expect((await files()).length).toBe(1);
});

test('buckets: taken names, owners, missing ones, bad names', async () => {
  await expect(store.createBucket('bucket', 'other')).rejects.toMatchObject({
    code: 'conflict',
    facts: { kind: 'bucket' },
  });
  expect((await store.headBucket('bucket')).owner).toBe('owner');
  await store.createBucket('another', 'owner');
  await store.createBucket('foreign', 'other');
  expect((await store.listBuckets('owner')).map(({ bucket }) => bucket)).toEqual(['another', 'bucket']);
  const missing = { code: 'not_found', facts: { kind: 'bucket' } };
  await expect(store.headBucket('nowhere')).rejects.toMatchObject(missing);
  await expect(store.list('nowhere', { prefix: '', delimiter: '', after: '', limit: 1 })).rejects.toMatchObject(
    missing,
  );
  await expect(store.put('nowhere', 'k', Readable.from(['x']), meta)).rejects.toMatchObject(missing);
  for (const bad of ['', '.', '..', '../x', 'a/b', 'A-bucket', 'a..b', '1.2.3.4', 'x'.repeat(64)]) {
    await expect(store.createBucket(bad, 'owner')).rejects.toMatchObject({ code: 'invalid_input' });
    await expect(store.head(bad, 'key')).rejects.toMatchObject({ code: 'invalid_input' });
  }
});

test('no key leaves the store or collides with another', async () => {
  const hostile = fc.constantFrom(
    '../../x',
    '/',
    '//',
    '.',
    '..',
    'a/../b',
    'bucket.json',
    '\0',
    '\n',
    'a',
    'a/',
    'A',
    '__proto__',
    'é',
    'é',
  );
  const key = fc
    .oneof(hostile, fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }))
    .filter((each) => each.isWellFormed());
  const keys = fc.uniqueArray(key, { minLength: 1, maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(keys, async (names) => {
      for (const [i, name] of names.entries()) await put(name, `${i}`);
      for (const [i, name] of names.entries()) expect(await get(name)).toBe(`${i}`);
      const listed = await store.list('bucket', { prefix: '', delimiter: '', after: '', limit: 1000 });
      expect(listed.objects.map((each) => each.key).sort()).toEqual([...names].sort());
      for (const name of names) await store.delete('bucket', name);
      expect(await readdir(parent)).toEqual(['store']);
    }),
    { numRuns: 12 },
  );
});

test('keys of the wrong size or with half a surrogate pair are refused', async () => {
  await put('ü'.repeat(512), 'fits');
  for (const key of ['', 'x'.repeat(1025), 'ü'.repeat(513), '\ud800']) {
    await expect(put(key, 'x')).rejects.toMatchObject({ code: 'invalid_input', facts: { kind: 'object' } });
  }
});

test('a body that fails or is too large leaves the old object and no file', async () => {
  await put('key', 'old');
  const before = await files();
  const failure = new Error('the client went away');
  await expect(store.put('bucket', 'key', broken(failure), meta)).rejects.toBe(failure);
  store = await open({ maxObjectBytes: 10 });
  await expect(put('key', 'x'.repeat(11))).rejects.toMatchObject({ code: 'too_large' });
  await put('ten', 'x'.repeat(10));
  await store.delete('bucket', 'ten');
  expect(await get('key')).toBe('old');
  expect(await files()).toEqual(before);
});

test('a reader finishes the object it began while it is overwritten and deleted', async () => {
  const [old, newer] = [randomBytes(500_000), randomBytes(500_000)];
  await put('key', old);
  const { body } = await store.get('bucket', 'key');
  await put('key', newer);
  await store.delete('bucket', 'key');
  expect((await buffer(body)).equals(old)).toBe(true);
});

test('writers and readers of one key at once: every read is one whole version', async () => {
  const versions = Array.from({ length: 8 }, (_, i) => String(i).repeat(20_000));
  await put('key', versions[0] ?? '');
  const reads = Array.from({ length: 30 }, () => get('key'));
  await Promise.all(versions.map((text) => put('key', text)));
  for (const text of await Promise.all(reads)) expect(versions).toContain(text);
  expect((await files()).length).toBe(3);
});

test('what a crash left is swept on start', async () => {
  await put('key', 'kept');
  const data = (await files()).find((file) => /\.[0-9a-f]{24}$/.test(file)) ?? '';
  const leftovers = [
    data.replace(/[0-9a-f]{24}$/, 'a'.repeat(24)),
    data.replace(/[0-9a-f]{64}\.[0-9a-f]{24}$/, `${'0'.repeat(64)}.${'b'.repeat(24)}`),
    join(parent, 'store', 'tmp', 'half-written'),
  ];
  const before = await files();
  for (const file of leftovers) await writeFile(file, 'left over');
  store = await open();
  expect(await files()).toEqual(before);
  expect(await get('key')).toBe('kept');
});

test('a damaged record is an error that names its file, and can be replaced', async () => {
  await put('key', 'x');
  const record = (await files()).find((file) => /[0-9a-f]{64}\.json$/.test(file)) ?? '';
  for (const text of ['', '{', '{"format":1}', (await readFile(record, 'utf8')).replace(/"data":"/, '"data":"../')]) {
    await writeFile(record, text);
    store = await open();
    await expect(store.head('bucket', 'key')).rejects.toMatchObject({ code: 'internal', facts: { file: record } });
  }
  await put('key', 'repaired');
  expect(await get('key')).toBe('repaired');
});

const part = async (uploadId: string, number: number, text: string) => {
  const { etag } = await store.putPart('bucket', 'multi', uploadId, number, Readable.from([Buffer.from(text)]));
  return { part: number, etag };
};

test('multipart: joined in order, etag of etags, survives a restart before completing', async () => {
  const id = await store.createUpload('bucket', 'multi', meta);
  const last = await part(id, 7, 'end');
  await part(id, 2, 'replaced by the next');
  store = await open();
  const first = await part(id, 2, 'first part ');
  const info = await store.completeUpload('bucket', 'multi', id, [first, last]);
  const md5 = (data: string | Buffer) => createHash('md5').update(data).digest();
  expect(info.etag).toBe(`"${md5(Buffer.concat([md5('first part '), md5('end')])).toString('hex')}-2"`);
  expect([await get('multi'), info.bytes, info.metadata]).toEqual(['first part end', 14, { who: 'me' }]);
  await expect(part(id, 1, 'x')).rejects.toMatchObject({ code: 'not_found', facts: { kind: 'upload' } });
  expect((await files()).length).toBe(3);
});

test('multipart: every wrong completion is refused and the upload stays', async () => {
  const id = await store.createUpload('bucket', 'multi', meta);
  const small = await part(id, 1, 'small');
  const big = await part(id, 2, 'big enough');
  const complete = (parts: { part: number; etag: string }[], key = 'multi', upload = id) =>
    store.completeUpload('bucket', key, upload, parts);
  await expect(complete([])).rejects.toMatchObject({ facts: { kind: 'empty_parts' } });
  await expect(complete([big, small])).rejects.toMatchObject({ facts: { kind: 'part_order' } });
  await expect(complete([small, small])).rejects.toMatchObject({ facts: { kind: 'part_order' } });
  await expect(complete([small, big])).rejects.toMatchObject({ facts: { kind: 'part_too_small' } });
  await expect(complete([{ ...big, etag: small.etag }])).rejects.toMatchObject({ facts: { kind: 'part' } });
  await expect(complete([{ ...big, part: 3 }])).rejects.toMatchObject({ facts: { kind: 'part' } });
  await expect(complete([big], 'other')).rejects.toMatchObject({ code: 'not_found' });
  for (const bad of ['../../bucket', '', 'f'.repeat(24)])
    await expect(complete([big], 'multi', bad)).rejects.toMatchObject({ code: 'not_found' });
  for (const number of [0, 10_001, 1.5, -1])
    await expect(part(id, number, 'x')).rejects.toMatchObject({ code: 'invalid_input' });
  store = await open({ maxObjectBytes: 12 });
  await part(id, 3, 'too much');
  const third = await part(id, 3, 'abc');
  await expect(complete([big, third])).rejects.toMatchObject({ code: 'too_large' });
  await complete([big]);
});

test('multipart: abort and old age free the parts', async () => {
  const before = await files();
  const aborted = await store.createUpload('bucket', 'multi', meta);
  await part(aborted, 1, 'x');
  await store.abortUpload('bucket', 'multi', aborted);
  await expect(store.abortUpload('bucket', 'multi', aborted)).rejects.toMatchObject({ code: 'not_found' });
  const forgotten = await store.createUpload('bucket', 'multi', meta);
  await part(forgotten, 1, 'x');
  store = await open();
  await part(forgotten, 2, 'still there');
  await clock.advance(8 * 24 * 60 * 60_000);
  store = await open();
  await expect(part(forgotten, 3, 'x')).rejects.toMatchObject({ code: 'not_found' });
  expect(await files()).toEqual(before);
});
