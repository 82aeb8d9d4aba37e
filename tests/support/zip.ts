// A zip written by hand for the tests, so that it can lie in every field an honest zip tool gets right.
import { crc32, deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  name: string;
  data?: Uint8Array | string;
  /** Unix mode with type bits; default 0o100644. */
  mode?: number;
  /** Default 3 (Unix). */
  madeBy?: number;
  flags?: number;
  /** Default: deflate. */
  stored?: boolean;
  method?: number;
  /** A lie about the unpacked size. */
  declaredBytes?: number;
}

/** The bytes of a zip with these entries, in this order. */
export function zipOf(entries: readonly ZipEntry[], declaredCount = entries.length): Buffer {
  const parts: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const data = Buffer.from(entry.data ?? '');
    const body = entry.stored ? data : deflateRawSync(data);
    const name = Buffer.from(entry.name);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(0x800 | (entry.flags ?? 0), 2);
    common.writeUInt16LE(entry.method ?? (entry.stored ? 0 : 8), 4);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(body.length, 14);
    common.writeUInt32LE(entry.declaredBytes ?? data.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), common, name, body]);
    const central = Buffer.alloc(14);
    central.writeUInt32LE(((entry.mode ?? 0o100644) << 16) >>> 0, 6);
    central.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02', 'latin1'), Buffer.from([20, entry.madeBy ?? 3]), common, central, name);
    parts.push(local);
    offset += local.length;
  }
  const centralBytes = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(declaredCount, 4);
  end.writeUInt16LE(declaredCount, 6);
  end.writeUInt32LE(centralBytes.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...parts, centralBytes, Buffer.from('PK\x05\x06', 'latin1'), end]);
}
