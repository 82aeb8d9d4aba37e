// cpio archives in the "newc" format, as the kernel unpacks them from an initramfs; they may be put one behind another.
// https://docs.kernel.org/driver-api/early-userspace/buffer-format.html
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Fault } from '../../../src/lib/errors.ts';

/** What stands at `path` (absolute): a copy of a file of this machine, given bytes, a symlink, or an empty directory. */
export type ArchiveEntry = { path: string; mode?: number } & (
  | { file: string }
  | { bytes: Uint8Array }
  | { link: string }
  | { directory: true }
);

const kinds = { directory: 0o040755, file: 0o100644, link: 0o120777 } as const;
const alignment = 4;

/** Yields the archive in pieces; parent directories are added. Rejects with `missing_tool` when a file is not there. */
export async function* newcArchive(entries: readonly ArchiveEntry[]): AsyncGenerator<Uint8Array> {
  const made = new Set(['/', '.']);
  let inode = 1;
  for (const entry of entries) {
    for (const path of missingParents(entry.path, made)) yield header(inode++, path, kinds.directory, 0);
    if (made.has(entry.path)) continue;
    made.add(entry.path);
    yield* member(inode++, entry);
  }
  yield header(0, '/TRAILER!!!', 0, 0);
}

function missingParents(path: string, made: Set<string>): string[] {
  const parents: string[] = [];
  for (let at = dirname(path); !made.has(at); at = dirname(at)) {
    made.add(at);
    parents.unshift(at);
  }
  return parents;
}

async function* member(inode: number, entry: ArchiveEntry): AsyncGenerator<Uint8Array> {
  if ('directory' in entry) {
    yield header(inode, entry.path, entry.mode === undefined ? kinds.directory : 0o040000 | entry.mode, 0);
    return;
  }
  if ('file' in entry) {
    const size = await sizeOf(entry.file);
    yield header(inode, entry.path, 0o100000 | (entry.mode ?? 0o644), size);
    yield* createReadStream(entry.file, { highWaterMark: 1 << 20 });
    yield padding(size);
    return;
  }
  const bytes = 'link' in entry ? Buffer.from(entry.link) : entry.bytes;
  yield header(inode, entry.path, 'link' in entry ? kinds.link : 0o100000 | (entry.mode ?? 0o644), bytes.length);
  yield bytes;
  yield padding(bytes.length);
}

async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch((cause: unknown) => {
    throw new Fault('missing_tool', { tool: file, next: 'npm run setup' }, cause);
  });
  return found.size;
}

const padding = (length: number): Uint8Array => Buffer.alloc(-length & (alignment - 1));

function header(inode: number, path: string, mode: number, size: number): Uint8Array {
  const name = Buffer.from(`${path.slice(1)}\0`);
  // inode, mode, uid, gid, links, mtime, size, device (4 numbers), length of the name, checksum (none).
  const fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name.length, 0];
  const text = `070701${fields.map((field) => field.toString(16).padStart(8, '0')).join('')}`;
  return Buffer.concat([Buffer.from(text), name, padding(text.length + name.length)]);
}
