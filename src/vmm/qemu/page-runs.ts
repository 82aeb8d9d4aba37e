// Page-run files: the memory of an image (relative to zeros) and of a sleeping VM (relative to its image).
// Format 1, little endian: a 4,096-byte header, the data pages one after another, a table of runs, a trailer.
//   header:  "WBPAGES\0", u32 format, u32 page size, u64 pages of the whole memory
//   table:   per run u32 first page, u32 page count, u32 CRC-32 of its data
//   trailer: u32 runs, u32 CRC-32 of the table, u64 offset of the table, "WBPAGEND"
// The table stands last so that a writer can stream; data starts page-aligned.
import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { open } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { createFile } from '../../lib/durable-file.ts';
import { Fault } from '../../lib/errors.ts';
import { giveSlab, slabBytes, takeSlab } from './slabs.ts';

export const pageBytes = 4096;
const headerBytes = 4096;
const trailerBytes = 24;
const entryBytes = 12;
const formatNumber = 1;
/** Runs are cut at this length, so that no reader needs a larger buffer. */
export const maxRunPages = 256;
/** A table larger than this is not read: 2^22 runs cover 16 GiB of single pages. */
const maxRuns = 1 << 22;

export interface PageRun {
  firstPage: number;
  /** Whole pages; at most `maxRunPages`. */
  data: Buffer;
}

export interface PageRunFile {
  bytes: number;
  sha256: string;
  pages: number;
}

/** Streams runs into a new file. Not synced: the caller does that with the other files of the snapshot. */
export async function writePageRuns(
  path: string,
  totalPages: number,
  runs: AsyncIterable<PageRun[]>,
): Promise<PageRunFile> {
  const file = await createFile(path);
  try {
    const hash = createHash('sha256');
    const append = async (parts: Buffer[]): Promise<void> => {
      for (const part of parts) hash.update(part);
      await file.append(parts);
    };
    await append([header(totalPages)]);
    const entries: Buffer[] = [];
    let pages = 0;
    for await (const batch of runs) {
      for (const run of batch) {
        entries.push(entry(run));
        pages += run.data.length / pageBytes;
      }
      await append(batch.map((run) => run.data));
    }
    const table = Buffer.concat(entries);
    await append([table, trailer(entries.length, table, file.bytes)]);
    return { bytes: file.bytes, sha256: hash.digest('hex'), pages };
  } finally {
    await file.close();
  }
}

function header(totalPages: number): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.write('WBPAGES\0', 0, 'latin1');
  bytes.writeUInt32LE(formatNumber, 8);
  bytes.writeUInt32LE(pageBytes, 12);
  bytes.writeBigUInt64LE(BigInt(totalPages), 16);
  return bytes;
}

function entry(run: PageRun): Buffer {
  const bytes = Buffer.alloc(entryBytes);
  bytes.writeUInt32LE(run.firstPage, 0);
  bytes.writeUInt32LE(run.data.length / pageBytes, 4);
  bytes.writeUInt32LE(crc32(run.data), 8);
  return bytes;
}

function trailer(runs: number, table: Buffer, tableOffset: number): Buffer {
  const bytes = Buffer.alloc(trailerBytes);
  bytes.writeUInt32LE(runs, 0);
  bytes.writeUInt32LE(crc32(table), 4);
  bytes.writeBigUInt64LE(BigInt(tableOffset), 8);
  bytes.write('WBPAGEND', 16, 'latin1');
  return bytes;
}

/**
 * Reads a file and hands over every run, verified, in file order; checks the whole against `sha256`. The data of a run is good during the call.
 * Rejects with `snapshot_corrupt` naming the file; what was handed over before must then not be used.
 */
export async function readPageRuns(
  path: string,
  expected: { totalPages: number; sha256: string },
  onRun: (run: PageRun) => void,
): Promise<void> {
  const corrupt = (why: string): never => {
    throw new Fault('snapshot_corrupt', { file: path, why });
  };
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new Fault('snapshot_corrupt', { file: path, why: 'it cannot be opened' }, cause);
  });
  const slab = takeSlab();
  try {
    const { size } = await file.stat();
    if (size < headerBytes + trailerBytes) corrupt('it is too short');
    const hash = createHash('sha256');
    const head = await read(file, 0, headerBytes);
    hash.update(head);
    if (!head.subarray(0, 24).equals(header(expected.totalPages).subarray(0, 24))) corrupt('its header is not ours');
    const table = await readTable(file, size, corrupt);
    let offset = headerBytes;
    let next = 0;
    for (const group of groups(table.runs)) {
      const data = await read(file, offset, group.bytes, slab);
      if (data.length !== group.bytes) corrupt('it ends within its data');
      offset += data.length;
      hash.update(data);
      let at = 0;
      for (const run of group.runs) {
        if (run.firstPage < next || run.firstPage + run.pages > expected.totalPages)
          corrupt('a run lies outside the memory');
        next = run.firstPage + run.pages;
        const part = data.subarray(at, at + run.pages * pageBytes);
        at += part.length;
        if (crc32(part) !== run.crc) corrupt(`page ${run.firstPage} has a wrong checksum`);
        onRun({ firstPage: run.firstPage, data: part });
      }
    }
    if (offset !== table.offset) corrupt('its length does not fit its table');
    hash.update(table.bytes);
    if (hash.digest('hex') !== expected.sha256) corrupt('its SHA-256 differs from the manifest');
  } finally {
    giveSlab(slab);
    await file.close();
  }
}

interface StoredRun {
  firstPage: number;
  pages: number;
  crc: number;
}

interface Table {
  offset: number;
  /** Table and trailer as stored. */
  bytes: Buffer;
  runs: StoredRun[];
}

/** Neighbouring runs that are read from the file in one go, at most a slab together. */
function* groups(runs: StoredRun[]): Generator<{ runs: StoredRun[]; bytes: number }> {
  let group: StoredRun[] = [];
  let bytes = 0;
  for (const run of runs) {
    if (bytes + run.pages * pageBytes > slabBytes && group.length > 0) {
      yield { runs: group, bytes };
      group = [];
      bytes = 0;
    }
    group.push(run);
    bytes += run.pages * pageBytes;
  }
  if (group.length > 0) yield { runs: group, bytes };
}

async function readTable(file: FileHandle, size: number, corrupt: (why: string) => never): Promise<Table> {
  const end = await read(file, size - trailerBytes, trailerBytes);
  if (end.toString('latin1', 16) !== 'WBPAGEND') corrupt('its end is missing');
  const count = end.readUInt32LE(0);
  const offset = Number(end.readBigUInt64LE(8));
  if (count > maxRuns || offset + count * entryBytes + trailerBytes !== size)
    corrupt('its table does not fit its length');
  const bytes = await read(file, offset, size - offset);
  if (crc32(bytes.subarray(0, count * entryBytes)) !== end.readUInt32LE(4)) corrupt('its table has a wrong checksum');
  const runs = Array.from({ length: count }, (_, i) => ({
    firstPage: bytes.readUInt32LE(i * entryBytes),
    pages: bytes.readUInt32LE(i * entryBytes + 4),
    crc: bytes.readUInt32LE(i * entryBytes + 8),
  }));
  if (runs.some((run) => run.pages < 1 || run.pages > maxRunPages)) corrupt('a run has an impossible length');
  return { offset, bytes, runs };
}

async function read(file: FileHandle, offset: number, length: number, into?: Buffer): Promise<Buffer> {
  const buffer = into ?? Buffer.allocUnsafe(length);
  const { bytesRead } = await file.read(buffer, 0, length, offset);
  return buffer.subarray(0, bytesRead);
}
