// Copies files into a directory that is being filled, and knows the SHA-256 of each.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copyUnsynced, makeDirectory, remove, syncPath, writeNew } from '../lib/durable-file.ts';
import { exists } from '../lib/read-file.ts';
import type { BackupFile } from './backup-manifest.ts';

const chunkBytes = 1 << 20;

export class Copying {
  readonly #from: string;
  readonly #to: string;
  readonly #onBytes: (bytes: number) => void;
  /** Whose entries are not on the disk yet. */
  readonly #directories = new Set<string>();
  readonly #copied = new Map<string, BackupFile>();
  readonly #buffer = Buffer.allocUnsafeSlow(chunkBytes);

  /** `onBytes` is called with what was copied, again and again; what it throws ends the copying. */
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
