// Writes a zip in memory, without compression: all the demo needs to hand over a project. APPNOTE.TXT 4.3.
import { crc32 } from 'node:zlib';

export interface ZipEntry {
  /** Relative, with forward slashes. */
  name: string;
  content: Uint8Array;
}

const versionNeeded = 20;
const utf8Names = 0x0800;
const stored = 0;
/** 1980-01-01 00:00: the same project gives the same bytes, so that build caches hit. */
const [dosTime, dosDate] = [0, 0x21];
const madeOnUnix = 3 << 8;
const regularFile0644 = 0o100644 << 16;

/** Entries in the given order. Up to 65,535 entries and 4 GiB; meant for far less. */
export function makeZip(entries: readonly ZipEntry[]): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content } of entries) {
    const nameBytes = Buffer.from(name, 'utf8');
    const common = commonFields(nameBytes.length, content);
    const local = Buffer.concat([uint32(0x04034b50), common, nameBytes, content]);
    directory.push(centralHeader(common, offset), nameBytes);
    parts.push(local);
    offset += local.length;
  }
  const central = Buffer.concat(directory);
  return Buffer.concat([...parts, central, endRecord(entries.length, central.length, offset)]);
}

/** What the local header and the central directory say in the same words. */
function commonFields(nameLength: number, content: Uint8Array): Buffer {
  return Buffer.concat([
    uint16(versionNeeded, utf8Names, stored, dosTime, dosDate),
    uint32(crc32(content), content.length, content.length),
    uint16(nameLength, 0),
  ]);
}

function centralHeader(common: Buffer, offset: number): Buffer {
  return Buffer.concat([
    uint32(0x02014b50),
    uint16(madeOnUnix | versionNeeded),
    common,
    uint16(0, 0, 0),
    uint32(regularFile0644, offset),
  ]);
}

const endRecord = (count: number, size: number, offset: number): Buffer =>
  Buffer.concat([uint32(0x06054b50), uint16(0, 0, count, count), uint32(size, offset), uint16(0)]);

function uint16(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => void bytes.writeUInt16LE(value, i * 2));
  return bytes;
}

function uint32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4);
  values.forEach((value, i) => void bytes.writeUInt32LE(value >>> 0, i * 4));
  return bytes;
}
