import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { isFault } from '../../lib/errors.ts';
import { maxRunPages, type PageRun, pageBytes, readPageRuns, writePageRuns } from './page-runs.ts';

const totalPages = 4096;
let directory = '';
let count = 0;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'page-runs-'));
});
afterAll(() => rm(directory, { recursive: true }));

/** Runs of random place, length and content, in order and apart from each other. */
const memory = fc
  .array(
    fc.record({ gap: fc.integer({ min: 0, max: 40 }), pages: fc.integer({ min: 1, max: 30 }), fill: fc.nat(255) }),
    {
      maxLength: 40,
    },
  )
  .map((parts) => {
    let next = 0;
    const runs: PageRun[] = [];
    for (const { gap, pages, fill } of parts) {
      const data = Buffer.alloc(pages * pageBytes, fill);
      data.writeUInt32LE(next, 0);
      runs.push({ firstPage: next + gap, data });
      next += gap + pages;
    }
    return runs;
  });

async function* inBatches(runs: PageRun[], size: number): AsyncGenerator<PageRun[]> {
  for (let i = 0; i < runs.length; i += size) yield runs.slice(i, i + size);
}

async function stored(runs: PageRun[]) {
  const path = join(directory, `${count++}`);
  return { path, ...(await writePageRuns(path, totalPages, inBatches(runs, 3))) };
}

test('what was written is read again, page for page', async () => {
  await fc.assert(
    fc.asyncProperty(memory, async (runs) => {
      const file = await stored(runs);
      const back: PageRun[] = [];
      await readPageRuns(file.path, { totalPages, sha256: file.sha256 }, (run) => {
        back.push({ firstPage: run.firstPage, data: Buffer.from(run.data) });
      });
      expect(back).toEqual(runs);
      expect(file.pages).toBe(runs.reduce((sum, run) => sum + run.data.length / pageBytes, 0));
    }),
    { numRuns: 60 },
  );
});

test('any damage is refused and names the file', async () => {
  await fc.assert(
    fc.asyncProperty(memory, fc.nat(), fc.integer({ min: 1, max: 255 }), fc.boolean(), async (runs, at, flip, cut) => {
      const file = await stored(runs);
      const bytes = await readFile(file.path);
      const place = at % bytes.length;
      bytes[place] = (bytes[place] ?? 0) ^ flip;
      await writeFile(file.path, cut ? bytes.subarray(0, place) : bytes);
      const reading = readPageRuns(file.path, { totalPages, sha256: file.sha256 }, () => {});
      await expect(reading).rejects.toSatisfy(
        (error) => isFault(error, 'snapshot_corrupt') && error.message.includes(file.path),
      );
    }),
    { numRuns: 100 },
  );
});

test('a missing file is refused and named', async () => {
  const path = join(directory, 'missing');
  await expect(readPageRuns(path, { totalPages, sha256: '' }, () => {})).rejects.toThrow(path);
});

test('a file of another memory size is refused', async () => {
  const file = await stored([{ firstPage: 1, data: Buffer.alloc(pageBytes) }]);
  await expect(readPageRuns(file.path, { totalPages: 8192, sha256: file.sha256 }, () => {})).rejects.toThrow('header');
});

test('runs longer than the limit are refused on reading', async () => {
  const file = await stored([{ firstPage: 0, data: Buffer.alloc((maxRunPages + 1) * pageBytes) }]);
  await expect(readPageRuns(file.path, { totalPages, sha256: file.sha256 }, () => {})).rejects.toThrow(
    'impossible length',
  );
});
