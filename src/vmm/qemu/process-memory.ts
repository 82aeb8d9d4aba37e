// The guest's memory as the kernel sees it: which pages a VM wrote (private, anonymous pages of its copy-on-write mapping), and their content.
// https://docs.kernel.org/admin-guide/mm/pagemap.html
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { Fault } from '../../lib/errors.ts';
import { maxRunPages, type PageRun, pageBytes } from './page-runs.ts';
import { giveSlab, takeSlab } from './slabs.ts';

/** Upper halves of pagemap entries: bit 63 present, 62 swapped, 61 file page or shared. */
const present = 0x8000_0000;
const swapped = 0x4000_0000;
const fileBacked = 0x2000_0000;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Start address of the mapping of memfd `name` in process `pid`; checks that it is whole. */
export async function findMapping(pid: number, name: string, bytes: number): Promise<number> {
  const lines = (await readFile(`/proc/${pid}/maps`, 'utf8'))
    .split('\n')
    .filter((line) => line.includes(`/memfd:${name} `));
  const ranges = lines.map((line) => (line.split(' ')[0] ?? '').split('-').map((hex) => Number.parseInt(hex, 16)));
  const start = ranges[0]?.[0];
  const mapped = ranges.reduce((sum, [low = 0, high = 0]) => sum + high - low, 0);
  if (start === undefined || mapped !== bytes) {
    throw new Fault('vmm_failed', { what: `maps ${mapped} bytes of guest memory instead of ${bytes}` });
  }
  return start;
}

/** Runs of pages that the process holds privately, as [first, count] pairs, in order. */
async function* privateRuns(pid: number, start: number, pages: number): AsyncGenerator<[number, number]> {
  const file = await open(`/proc/${pid}/pagemap`, 'r');
  const slab = takeSlab();
  try {
    let from = -1;
    for (let base = 0; base < pages; base += slab.length / 8) {
      const count = Math.min(slab.length / 8, pages - base);
      const { bytesRead } = await file.read(slab, 0, count * 8, (start / pageBytes + base) * 8);
      if (bytesRead !== count * 8) throw new Fault('vmm_failed', { what: 'ended while its memory was read' });
      const words = new Uint32Array(slab.buffer, slab.byteOffset, count * 2);
      for (let i = 0; i < count; i++) {
        const high = words[i * 2 + 1] ?? 0;
        const dirty = (high & (present | swapped)) !== 0 && (high & fileBacked) === 0;
        if (dirty && from < 0) from = base + i;
        if (from >= 0 && (!dirty || base + i - from === maxRunPages)) {
          yield [from, base + i - from];
          from = dirty ? base + i : -1;
        }
      }
    }
    if (from >= 0) yield [from, pages - from];
  } finally {
    giveSlab(slab);
    await file.close();
  }
}

/**
 * The pages of a stopped VM that differ from its image, in slices; the data of a slice is good until the next one is asked for.
 * Pages that were written but hold what the image holds are left out: they are the image's again after a restore.
 */
export async function* changedPages(
  pid: number,
  name: string,
  bytes: number,
  imageFd: number,
): AsyncGenerator<PageRun[]> {
  const start = await findMapping(pid, name, bytes);
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const [slab, original] = [takeSlab(), takeSlab()];
  try {
    let slice: PageRun[] = [];
    let used = 0;
    for await (const [first, count] of privateRuns(pid, start, bytes / pageBytes)) {
      if (used + count * pageBytes > slab.length) {
        yield slice;
        await turn();
        slice = [];
        used = 0;
      }
      const data = slab.subarray(used, used + count * pageBytes);
      used += data.length;
      fill(memory, data, start + first * pageBytes, 'guest memory');
      const image = original.subarray(0, data.length);
      fill(imageFd, image, first * pageBytes, 'the image');
      for (const run of differing(first, data, image)) slice.push(run);
    }
    yield slice;
  } finally {
    giveSlab(slab);
    giveSlab(original);
    closeSync(memory);
  }
}

/** The non-zero pages of a memory file, in slices; the data of a slice is good until the next one is asked for. */
export async function* filledPages(fd: number, bytes: number): AsyncGenerator<PageRun[]> {
  const zeros = Buffer.alloc(maxRunPages * pageBytes);
  const slab = takeSlab();
  try {
    for (let offset = 0; offset < bytes; offset += slab.length) {
      const slice: PageRun[] = [];
      for (let at = 0; at < slab.length && offset + at < bytes; at += zeros.length) {
        const data = slab.subarray(at, at + Math.min(zeros.length, bytes - offset - at));
        fill(fd, data, offset + at, 'guest memory');
        if (data.equals(zeros.subarray(0, data.length))) continue;
        for (const run of differing((offset + at) / pageBytes, data, zeros)) slice.push(run);
      }
      yield slice;
      await turn();
    }
  } finally {
    giveSlab(slab);
  }
}

function* differing(first: number, data: Buffer, other: Buffer): Generator<PageRun> {
  let from = -1;
  for (let at = 0; at <= data.length; at += pageBytes) {
    const differs = at < data.length && data.compare(other, at, at + pageBytes, at, at + pageBytes) !== 0;
    if (differs && from < 0) from = at;
    if (!differs && from >= 0) {
      yield { firstPage: first + from / pageBytes, data: data.subarray(from, at) };
      from = -1;
    }
  }
}

function fill(fd: number, buffer: Buffer, position: number, what: string): void {
  const got = readSync(fd, buffer, 0, buffer.length, position);
  if (got !== buffer.length)
    throw new Fault('internal', { what: `Only ${got} of ${buffer.length} bytes of ${what} could be read.` });
}

/** Opens the private mapping of process `pid` for writing pages into it, before the guest runs. */
export async function openMapping(
  pid: number,
  name: string,
  bytes: number,
): Promise<{ write(run: PageRun): void; close(): void }> {
  const start = await findMapping(pid, name, bytes);
  const memory = openSync(`/proc/${pid}/mem`, 'r+');
  return {
    write: (run) => put(memory, run.data, start + run.firstPage * pageBytes),
    close: () => closeSync(memory),
  };
}

/** Writes all of `data` at `position`. */
export function put(fd: number, data: Buffer, position: number): void {
  const done = writeSync(fd, data, 0, data.length, position);
  if (done !== data.length)
    throw new Fault('internal', { what: `Only ${done} of ${data.length} bytes of guest memory could be written.` });
}
