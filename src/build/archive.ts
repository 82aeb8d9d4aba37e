// Opens the zip of a build and extracts it. The zip is hostile: names, links, sizes and counts are checked before and while
// anything is written; on a fault the caller throws the half-filled directory away.
import { createWriteStream } from 'node:fs';
import { chmod, mkdir, stat, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { describe, Fault, isFault } from '../lib/errors.ts';
import { ArchiveTree, archiveFault, checkSymlink, type EntryKind, entryPath, shown } from './archive-tree.ts';

export interface ArchiveLimits {
  zipBytes: number;
  entries: number;
  /** All entries together, unpacked. */
  unpackedBytes: number;
  /** Unpacked bytes per byte of the zip, looked at beyond `ratioFloorBytes`. */
  ratio: number;
  ratioFloorBytes: number;
}

export const defaultArchiveLimits: ArchiveLimits = {
  zipBytes: 2 ** 30,
  entries: 10_000,
  unpackedBytes: 2 ** 31,
  ratio: 200,
  ratioFloorBytes: 100_000_000,
};

export interface ExtractedArchive {
  entries: number;
  unpackedBytes: number;
}

const maxLinkBytes = 4096;

/** Counts what is really unpacked; declared sizes are checked too, but they are the archive's own words. */
class Budget {
  used = 0;
  readonly #zipBytes: number;
  readonly #limits: ArchiveLimits;

  constructor(zipBytes: number, limits: ArchiveLimits) {
    this.#zipBytes = zipBytes;
    this.#limits = limits;
  }

  spend(bytes: number): void {
    this.used += bytes;
    const { unpackedBytes, ratio, ratioFloorBytes } = this.#limits;
    if (this.used > unpackedBytes) throw archiveFault(`The zip unpacks to more than ${unpackedBytes} bytes.`);
    if (this.used > ratioFloorBytes && this.used > this.#zipBytes * ratio)
      throw archiveFault(
        `The zip unpacks to more than ${ratio} times its size, which looks like a decompression bomb.`,
      );
  }
}

/**
 * Extracts the zip at `archivePath` into `directory` (empty, exists). Rejects with `build_failed`: `ARCHIVE_INVALID`, or
 * `ARCHIVE_DOCKERFILE_NOT_FOUND` when there is no regular file `Dockerfile` at the root; with `aborted` on `signal`.
 */
export async function extractArchive(
  archivePath: string,
  directory: string,
  options: { limits?: ArchiveLimits; signal?: AbortSignal } = {},
): Promise<ExtractedArchive> {
  const limits = options.limits ?? defaultArchiveLimits;
  const zipBytes = (await stat(archivePath)).size;
  if (zipBytes > limits.zipBytes) throw archiveFault(`The zip is larger than ${limits.zipBytes} bytes.`);
  try {
    return await extract(archivePath, directory, new Budget(zipBytes, limits), limits, options.signal);
  } catch (cause) {
    if (isFault(cause)) throw cause;
    if (options.signal?.aborted) throw new Fault('aborted', { what: 'Unpacking the zip' }, cause);
    if (isNoSpace(cause))
      throw new Fault(
        'build_failed',
        { reason: 'DISK_STORAGE_FULL', what: 'The host has no space left to unpack the zip.' },
        cause,
      );
    throw archiveFault(`The zip cannot be read: ${describe(cause)}.`, cause);
  }
}

async function extract(
  archivePath: string,
  directory: string,
  budget: Budget,
  limits: ArchiveLimits,
  signal: AbortSignal | undefined,
): Promise<ExtractedArchive> {
  const zip = await openPromise(archivePath, { lazyEntries: true, autoClose: false, strictFileNames: true });
  try {
    if (zip.entryCount > limits.entries) throw archiveFault(`The zip has more than ${limits.entries} entries.`);
    const tree = new ArchiveTree();
    // Made last, so that no entry is ever written through one.
    const links = new Map<string, string>();
    let entries = 0;
    for await (const entry of zip.eachEntry()) {
      signal?.throwIfAborted();
      if (++entries > limits.entries) throw archiveFault(`The zip has more than ${limits.entries} entries.`);
      const path = checkedPath(entry, tree);
      if (path === undefined) continue;
      if (tree.kind(path) === 'directory') await mkdir(join(directory, path), { recursive: true });
      else if (tree.kind(path) === 'symlink') links.set(path, await readLink(zip, entry, path, budget));
      else await writeFile(zip, entry, join(directory, path), budget, signal);
    }
    if (tree.kind('Dockerfile') !== 'file') throw dockerfileMissing(tree);
    for (const [path, target] of links) await placeLink(join(directory, path), target);
    return { entries, unpackedBytes: budget.used };
  } finally {
    zip.close();
  }
}

function dockerfileMissing(tree: ArchiveTree): Fault {
  const found = tree.kind('Dockerfile');
  const why = found ? `it is a ${found}` : 'there is none';
  return new Fault('build_failed', {
    reason: 'ARCHIVE_DOCKERFILE_NOT_FOUND',
    what: `The zip must hold a regular file named Dockerfile at its root, but ${why}. Zip the files themselves, not the folder they are in.`,
  });
}

/** The path of an acceptable entry, noted in `tree`; undefined for the root itself. */
function checkedPath(entry: Entry, tree: ArchiveTree): string | undefined {
  const path = entryPath(entry.fileName);
  if (path === '') return undefined;
  if (entry.isEncrypted()) throw archiveFault(`The entry ${shown(path)} in the zip is encrypted.`);
  const kind = entryKind(entry);
  if (kind === undefined)
    throw archiveFault(`The entry ${shown(path)} in the zip is neither a file, a directory nor a symlink.`);
  tree.add(path, kind);
  return path;
}

/** Unix mode of the entry, or undefined when the zip was made elsewhere. 3 is Unix, 19 is macOS. */
function unixMode(entry: Entry): number | undefined {
  const madeBy = entry.versionMadeBy >>> 8;
  const mode = entry.externalFileAttributes >>> 16;
  return (madeBy === 3 || madeBy === 19) && mode !== 0 ? mode : undefined;
}

function entryKind(entry: Entry): EntryKind | undefined {
  const type = (unixMode(entry) ?? 0) & 0o170000;
  if (entry.fileName.endsWith('/')) return type === 0 || type === 0o040000 ? 'directory' : undefined;
  if (type === 0 || type === 0o100000) return 'file';
  return type === 0o120000 ? 'symlink' : undefined;
}

async function writeFile(
  zip: ZipFile,
  entry: Entry,
  file: string,
  budget: Budget,
  signal?: AbortSignal,
): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const count = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      try {
        budget.spend(chunk.length);
        done(null, chunk);
      } catch (error) {
        done(error instanceof Error ? error : new Error(describe(error)));
      }
    },
  });
  const source = await zip.openReadStreamPromise(entry);
  await pipeline(source, count, createWriteStream(file, { flags: 'wx', mode: 0o600 }), { signal });
  // Permission bits only: set-user-id, set-group-id and sticky are dropped.
  await chmod(file, ((unixMode(entry) ?? 0o644) & 0o777) | 0o400);
}

async function readLink(zip: ZipFile, entry: Entry, path: string, budget: Budget): Promise<string> {
  if (entry.uncompressedSize > maxLinkBytes)
    throw archiveFault(`The symlink ${shown(path)} in the zip has a target that is too long.`);
  const parts: Buffer[] = [];
  for await (const part of await zip.openReadStreamPromise(entry)) {
    budget.spend(part.length);
    parts.push(part);
  }
  const target = Buffer.concat(parts).toString('utf8');
  checkSymlink(path, target);
  return target;
}

async function placeLink(file: string, target: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await symlink(target, file);
}

function isNoSpace(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOSPC' || code === 'EDQUOT';
}
