// What a file or directory really occupies (blocks, not lengths: disk layers and templates are sparse).
import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Files that are looked at at a time. */
const together = 64;

/**
 * Bytes that its removal frees: the allocated blocks of the regular files at or below `path`, each once, without those that have another name elsewhere; 0 when it
 * does not exist. Blocks that the file system shares between files (reflinks) count as if they were not.
 */
export async function diskUsage(path: string): Promise<number> {
  const namesHere = new Map<string, number>();
  let bytes = 0;
  for await (const stat of filesAt(path)) {
    const file = `${stat.dev}:${stat.ino}`;
    const seen = (namesHere.get(file) ?? 0) + 1;
    namesHere.set(file, seen);
    if (seen === stat.nlink) bytes += stat.blocks * 512;
  }
  return bytes;
}

/** The regular files at or below `path`. Links are not followed, as Node's recursive `readdir` would: they may lead anywhere. */
async function* filesAt(path: string): AsyncGenerator<Stats> {
  const stat = await lstat(path).catch(() => undefined);
  if (stat?.isFile()) yield stat;
  if (!stat?.isDirectory()) return;
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile());
  for (let i = 0; i < files.length; i += together) {
    const some = files.slice(i, i + together);
    const stats = await Promise.all(some.map(({ name }) => lstat(join(path, name)).catch(() => undefined)));
    for (const one of stats) if (one?.isFile()) yield one;
  }
  for (const entry of entries) if (entry.isDirectory()) yield* filesAt(join(path, entry.name));
}
