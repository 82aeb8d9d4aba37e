// What the writer makes, a strict reader opens.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import yauzl, { type ZipFile } from 'yauzl';
import { makeZip, type ZipEntry } from './zip.ts';

interface Read {
  name: string;
  content: Buffer;
  mode: number;
}

function open(zip: Buffer): Promise<ZipFile> {
  return new Promise((resolve, reject) => {
    yauzl.fromBuffer(zip, { lazyEntries: true, strictFileNames: true, validateEntrySizes: true }, (error, file) =>
      error ? reject(error) : resolve(file),
    );
  });
}

/** yauzl checks sizes and structure; the CRC is compared in the test. */
async function readAll(zip: Buffer): Promise<(Read & { crc: number })[]> {
  const file = await open(zip);
  const found: (Read & { crc: number })[] = [];
  return new Promise((resolve, reject) => {
    file.on('error', reject);
    file.on('end', () => resolve(found));
    file.on('entry', (entry) => {
      file.openReadStream(entry, (error, stream) => {
        if (error) return reject(error);
        const chunks: Buffer[] = [];
        stream.on('data', (chunk: Buffer) => chunks.push(chunk));
        stream.on('error', reject);
        stream.on('end', () => {
          const mode = entry.externalFileAttributes >>> 16;
          found.push({ name: entry.fileName, content: Buffer.concat(chunks), mode, crc: entry.crc32 });
          file.readEntry();
        });
      });
    });
    file.readEntry();
  });
}

test('names, contents and modes come back', async () => {
  const entries: ZipEntry[] = [
    { name: 'Dockerfile', content: Buffer.from('FROM scratch\n') },
    { name: 'sub/ä.txt', content: Buffer.alloc(0) },
  ];
  const read = await readAll(makeZip(entries));
  expect(read.map(({ name, content }) => [name, content.toString()])).toEqual([
    ['Dockerfile', 'FROM scratch\n'],
    ['sub/ä.txt', ''],
  ]);
  expect(read.map(({ mode }) => mode)).toEqual([0o100644, 0o100644]);
  // Of the well-known check string; a wrong polynomial or byte order would differ.
  const [check] = await readAll(makeZip([{ name: 'c', content: Buffer.from('123456789') }]));
  expect(check?.crc).toBe(0xcbf43926);
});

test('any content survives, and the same project gives the same bytes', async () => {
  const entry = fc.record({ name: fc.stringMatching(/^[a-z]{1,8}(\/[a-z.]{1,5}x){0,2}$/), content: fc.uint8Array() });
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 5 }), async (entries) => {
      const zip = makeZip(entries);
      const read = await readAll(zip);
      expect(read.map(({ name, content }) => ({ name, content: new Uint8Array(content) }))).toEqual(entries);
      expect(makeZip(entries).equals(zip)).toBe(true);
    }),
    { numRuns: 50 },
  );
});
