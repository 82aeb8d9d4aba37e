// The one place that writes files which must outlive the process. A file is there whole or not at all after a crash: it is written aside, synced, renamed, and its
// directory is synced. Whoever acknowledges something awaits these first. A full or failing disk is a Fault: `disk_full`, `disk_failed`.
import { createHash, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import {
  appendFile,
  chmod,
  chown,
  copyFile,
  type FileHandle,
  mkdir,
  open,
  readdir,
  rename,
  rm,
  unlink,
} from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Readable } from 'node:stream';
import { diskFault, type FileOperation, failIfTold, fileFault } from './disk-faults.ts';
import { Fault } from './errors.ts';

const ownerOnly = 0o600;
/** IOV_MAX is 1,024. */
const partsOfOneWrite = 512;

async function step<T>(operation: FileOperation, path: string, work: () => Promise<T>): Promise<T> {
  try {
    failIfTold(operation, path);
    return await work();
  } catch (error) {
    throw diskFault(error, path);
  }
}

/** A file that is being written for the first time, from its beginning to its end. */
export interface NewFile {
  /** Bytes so far. */
  readonly bytes: number;
  append(parts: readonly Uint8Array[]): Promise<void>;
  /** A sparse end: the file is `bytes` long. */
  extend(bytes: number): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Makes the file `path`; rejects when there is one. Nothing of it is durable before `sync`, nor its name before its directory is synced. */
export async function createFile(path: string, mode = ownerOnly): Promise<NewFile> {
  const handle = await step('create', path, () => open(path, 'wx', mode));
  let bytes = 0;
  return {
    get bytes() {
      return bytes;
    },
    async append(parts) {
      const filled = parts.filter((part) => part.length > 0);
      for (let i = 0; i < filled.length; i += partsOfOneWrite) {
        const slice = filled.slice(i, i + partsOfOneWrite);
        await writeAll(handle, path, slice, bytes);
        bytes += slice.reduce((sum, part) => sum + part.length, 0);
      }
    },
    extend: (length) => step('write', path, () => handle.truncate(length)),
    sync: () => step('sync', path, () => handle.sync()),
    close: () => handle.close(),
  };
}

async function writeAll(handle: FileHandle, path: string, parts: Uint8Array[], position: number): Promise<void> {
  const told = fileFault('write', path);
  if (told) {
    const all = Buffer.concat(parts);
    if (told.partly) await handle.write(all, 0, all.length >> 1, position);
    throw diskFault(told.error, path);
  }
  try {
    const { bytesWritten } = await handle.writev(parts, position);
    const wanted = parts.reduce((sum, part) => sum + part.length, 0);
    // A disk that is nearly full takes a part; writing the rest says why.
    let rest = bytesWritten === wanted ? Buffer.alloc(0) : Buffer.concat(parts).subarray(bytesWritten);
    while (rest.length > 0) {
      const more = await handle.write(rest, 0, rest.length, position + wanted - rest.length);
      rest = rest.subarray(more.bytesWritten);
    }
  } catch (error) {
    throw diskFault(error, path);
  }
}

/** Makes the file `path` with this content and syncs it; rejects when there is one. On any other failure nothing is left. The directory is the caller's. */
export async function writeNew(path: string, content: string | Uint8Array, mode = ownerOnly): Promise<void> {
  await withNewFile(path, mode, async (file) => {
    await file.append([Buffer.from(content)]);
    await file.sync();
  });
}

async function withNewFile<T>(path: string, mode: number, work: (file: NewFile) => Promise<T>): Promise<T> {
  const file = await createFile(path, mode);
  try {
    return await work(file).finally(() => file.close());
  } catch (error) {
    await discard(path);
    throw error;
  }
}

/**
 * Replaces `path` atomically. When it rejects, the old content stands, or, if only the directory could not be synced, the new one. `aside`: where the new content
 * is written first, on the same file system; beside `path` by default, where `removeAsides` finds what a crash leaves.
 */
export async function writeDurably(
  path: string,
  content: string | Uint8Array,
  { mode = ownerOnly, aside = `${path}.${randomUUID().slice(0, 8)}.new` } = {},
): Promise<void> {
  await writeNew(aside, content, mode);
  try {
    await step('rename', path, () => rename(aside, path));
  } catch (error) {
    await discard(aside);
    throw error;
  }
  await syncPath(dirname(path));
}

const isAside = (name: string): boolean => /\.[0-9a-f]{8}\.new$/.test(name);

/** Removes what crashes left in a directory that nobody writes to yet, if there is one: by default in the middle of `writeDurably`. */
export async function removeAsides(directory: string, isLeft = isAside): Promise<void> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  for (const name of names.filter(isLeft)) await remove(join(directory, name));
}

export interface StreamOptions {
  maxBytes: number;
  /** What the bytes are called when they are too many. */
  what: string;
  /** Default true. */
  sync?: boolean;
  signal?: AbortSignal;
}

export interface Written {
  bytes: number;
  /** Lower-case hex. */
  md5: string;
}

/** Streams `body` into the new file `path`. On any failure nothing is left and `body` is destroyed; `too_large` past `maxBytes`. */
export async function writeStream(
  path: string,
  body: Readable,
  { maxBytes, what, sync = true, signal }: StreamOptions,
): Promise<Written> {
  const hash = createHash('md5');
  // Whoever sends it may be gone before it is read; reading it says so.
  body.on('error', () => {});
  try {
    return await withNewFile(path, ownerOnly, async (file) => {
      for await (const piece of body as AsyncIterable<Buffer | string>) {
        signal?.throwIfAborted();
        const chunk = typeof piece === 'string' ? Buffer.from(piece) : piece;
        if (file.bytes + chunk.length > maxBytes) throw new Fault('too_large', { what, limit: `${maxBytes} bytes` });
        hash.update(chunk);
        await file.append([chunk]);
      }
      if (sync) await file.sync();
      return { bytes: file.bytes, md5: hash.digest('hex') };
    });
  } finally {
    body.destroy();
  }
}

/** Copies a file, sharing its blocks where the file system can. An older file at `to` is replaced. Not synced: whoever makes it part of something does that. */
export async function copyUnsynced(from: string, to: string): Promise<void> {
  try {
    await step('copy', to, () => copyFile(from, to, constants.COPYFILE_FICLONE));
  } catch (error) {
    await discard(to);
    throw error;
  }
}

/** Appends text, making the file. Not synced: logs are for people. */
export async function appendText(path: string, text: string): Promise<void> {
  await step('append', path, () => appendFile(path, text, { mode: ownerOnly }));
}

/**
 * Renames a file or directory whose content is synced to a name that is free, and makes that durable. When it rejects, `to` is not there and `from` is: whoever
 * starts after a crash takes the name for the deed. Where that cannot be undone either, the name counts.
 */
export async function moveIntoPlace(from: string, to: string): Promise<void> {
  await step('rename', to, () => rename(from, to));
  try {
    for (const directory of new Set([dirname(to), dirname(from)])) await syncPath(directory);
  } catch (error) {
    const undone = await rename(to, from).then(
      () => true,
      () => false,
    );
    if (undone) throw error;
  }
}

/** Makes a directory with its missing parents, durably. */
export async function makeDirectory(path: string): Promise<void> {
  const first = await step('mkdir', path, () => mkdir(path, { recursive: true, mode: 0o700 }));
  if (first === undefined) return;
  for (let at = resolve(path); at.length >= resolve(first).length; at = dirname(at)) await syncPath(dirname(at));
}

/** Makes a directory in one that exists; rejects when there is something of that name. Not synced. */
export async function makeNewDirectory(path: string): Promise<void> {
  await step('mkdir', path, () => mkdir(path, { mode: 0o700 }));
}

/** An empty directory in one that exists, in the place of whatever was there. Not synced: it is filled, synced and moved into its place, or thrown away. */
export async function freshDirectory(path: string): Promise<void> {
  await remove(path);
  await makeNewDirectory(path);
}

/** Removes a file or a tree; one that is missing is no failure. Not synced: what a crash brings back is nobody's, and goes again. */
export async function remove(path: string): Promise<void> {
  await step('remove', path, async () => {
    try {
      await rm(path, { recursive: true, force: true });
    } catch (error) {
      throw await reason(error);
    }
  });
}

/** Node tries to remove a file that may not be removed as if it were a directory, and tells of that. */
async function reason(error: unknown): Promise<unknown> {
  const { code, path } = error as NodeJS.ErrnoException;
  return code === 'ENOTDIR' && path !== undefined
    ? await unlink(path).then(
        () => error,
        (why: unknown) => why,
      )
    : error;
}

/** As `remove`, for what must not come back. */
export async function removeDurably(path: string): Promise<void> {
  await remove(path);
  await syncPath(dirname(path));
}

/** After a failure that is told itself. */
async function discard(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(() => {});
}

/** What a VM wrote belongs to nobody but us again. */
export async function reclaim(path: string): Promise<void> {
  await step('protect', path, async () => {
    await chown(path, process.getuid?.() ?? 0, process.getgid?.() ?? 0);
    await chmod(path, ownerOnly);
  });
}

/** Flushes a file's (or directory's) content to the disk. */
export async function syncPath(path: string): Promise<void> {
  await step('sync', path, async () => {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}
