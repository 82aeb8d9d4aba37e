// Files that are wholly there or not at all: written aside, synced, renamed, and the directory synced.
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Fault } from '../lib/errors.ts';
import { sealJson } from '../lib/sealed-json.ts';

export interface Written {
  bytes: number;
  /** Lower-case hex. */
  md5: string;
}

/** Streams `body` into the new file `path` and syncs it. On any failure nothing is left; `too_large` past `maxBytes`. */
export async function writeStream(path: string, body: Readable, maxBytes: number): Promise<Written> {
  const hash = createHash('md5');
  let bytes = 0;
  const meter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.length;
      if (bytes > maxBytes) return done(new Fault('too_large', { what: 'The object', limit: `${maxBytes} bytes` }));
      hash.update(chunk);
      done(null, chunk);
    },
  });
  try {
    const file = await open(path, 'wx', 0o600);
    // `flush` syncs before the descriptor is closed.
    await pipeline(body, meter, file.createWriteStream({ flush: true }));
  } catch (error) {
    body.destroy();
    await rm(path, { force: true });
    throw error;
  }
  return { bytes, md5: hash.digest('hex') };
}

/** Puts `value` at `path` atomically, through the new file `aside` on the same file system. */
export async function writeJson(path: string, aside: string, value: object): Promise<void> {
  try {
    const file = await open(aside, 'wx', 0o600);
    try {
      await file.writeFile(sealJson(value));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(aside, path);
  } catch (error) {
    await rm(aside, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** The text of a small file; undefined when there is none. */
export async function readSmallFile(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw new Fault('too_large', { what: `The record ${path}`, limit: `${maxBytes} bytes` });
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Creates a directory with its missing parents and makes their entries durable. */
export async function makeDirectory(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode: 0o700 });
  if (first === undefined) return;
  for (let at = resolve(path); at.length >= resolve(first).length; at = dirname(at)) await syncDirectory(dirname(at));
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

export const isMissing = (error: unknown): boolean => hasCode(error, 'ENOENT', 'ENOTDIR');

export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
