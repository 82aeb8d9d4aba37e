// Copies files into a directory that is being filled, and knows the SHA-256 of each.
import { createHash } from 'node:crypto';
import { open, readdir, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copyUnsynced, makeDirectory, remove, syncPath, writeNew } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { exists, hasCode } from '../lib/read-file.ts';
import type { BackupFile } from './backup-manifest.ts';

const chunkBytes = 1 << 20;
/** Directories, and what grows while it is copied. */
const spareBytes = 64 << 20;

export class Copying {
  readonly #from: string;
  readonly #to: string;
  readonly #onBytes: (bytes: number) => void;
  /** Whose entries are not on the disk yet. */
  readonly #directories = new Set<string>();
  readonly #copied = new Map<string, BackupFile>();
  readonly #buffer = Buffer.allocUnsafeSlow(chunkBytes);

  /** `onBytes` is called with what was copied, again and again. */
  constructor(from: string, to: string, onBytes: (bytes: number) => void) {
    this.#from = from;
    this.#to = to;
    this.#onBytes = onBytes;
  }

  /** By path below either directory. */
  get files(): ReadonlyMap<string, BackupFile> {
    return this.#copied;
  }

  /** Takes what is there now. Rejects as the system does, `ENOENT` when it is gone. */
  async copy(path: string): Promise<BackupFile> {
    const target = join(this.#to, path);
    await makeDirectory(dirname(target));
    await copyUnsynced(join(this.#from, path), target);
    return this.#made(path);
  }

  /** A file of which the content has been read already. */
  async write(path: string, content: string): Promise<BackupFile> {
    const target = join(this.#to, path);
    await makeDirectory(dirname(target));
    await remove(target);
    await writeNew(target, content);
    return this.#made(path);
  }

  /** A file that was put into the new directory in another way. */
  made(path: string): Promise<BackupFile> {
    return this.#made(path);
  }

  /** Takes out what was copied of a file, or of all below a directory. */
  async drop(path: string): Promise<void> {
    for (const known of [...this.#copied.keys()]) {
      if (known === path || known.startsWith(`${path}/`)) this.#copied.delete(known);
    }
    await remove(join(this.#to, path));
  }

  /** The names of all that was copied are on the disk, too, when this resolves. */
  async sync(): Promise<void> {
    for (const directory of this.#directories) if (await exists(directory)) await syncPath(directory);
    this.#directories.clear();
  }

  async #made(path: string): Promise<BackupFile> {
    const target = join(this.#to, path);
    await syncPath(target);
    this.#directories.add(dirname(target));
    const file = { path, ...(await hashFile(target, this.#buffer, this.#onBytes)) };
    this.#copied.set(path, file);
    return file;
  }
}

export async function hashFile(
  path: string,
  buffer: Buffer,
  onBytes: (bytes: number) => void,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  const file = await open(path, 'r');
  let bytes = 0;
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, bytes);
      if (bytesRead === 0) return { bytes, sha256: hash.digest('hex') };
      hash.update(buffer.subarray(0, bytesRead));
      bytes += bytesRead;
      onBytes(bytesRead);
    }
  } finally {
    await file.close();
  }
}

/** Rejects with `capacity_exhausted` when `bytes` do not fit where `directory`, whose parent exists, will be. */
export async function requireSpace(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(dirname(directory));
  if (bavail * bsize >= bytes + spareBytes) return;
  const mib = (n: number): number => Math.ceil(n / 2 ** 20);
  const what = `${mib(bytes + spareBytes)} MiB are needed in ${dirname(directory)}, and ${mib(bavail * bsize)} MiB are free there. Free some, or name a directory on another disk.`;
  throw new Fault('capacity_exhausted', { what });
}

/** A directory that may be made: missing or empty, in one that exists. Rejects with `conflict` or `not_found`. Resolves with the name beside it under which it is filled. */
export async function requireFree(directory: string): Promise<string> {
  await stat(dirname(directory)).catch((cause: unknown) => {
    throw new Fault('not_found', { what: `There is no directory ${dirname(directory)}. Make it first.` }, cause);
  });
  const aside = `${directory}.new`;
  for (const path of [directory, aside]) {
    if (await isEmpty(path)) continue;
    const why =
      path === aside
        ? 'another one is being made there, or was cut off: remove it if nothing works on it'
        : 'it holds something already: name another one';
    throw new Fault('conflict', { what: `${path} cannot be used: ${why}.` });
  }
  return aside;
}

async function isEmpty(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length === 0;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return true;
    throw error;
  }
}
