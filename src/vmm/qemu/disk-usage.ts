// What a directory really occupies (blocks, not lengths: disk layers and templates are sparse).
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes in allocated blocks of all regular files below `directory`; 0 when it does not exist. */
export async function diskUsage(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true }).catch(() => []);
  const stats = await Promise.all(names.map((name) => lstat(join(directory, name)).catch(() => undefined)));
  return stats.reduce((sum, stat) => sum + (stat?.isFile() ? stat.blocks * 512 : 0), 0);
}
