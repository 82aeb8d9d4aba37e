// What builds and removals left half done in the data directory when their server ended.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { remove as removeTree } from '../lib/durable-file.ts';
import { describe } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { Cleaning } from './cleaning.ts';
import type { NodeLayout } from './layout.ts';
import { isBuildWork, isRemoved } from './names.ts';

export interface AsideTools {
  layout: NodeLayout;
  cleaning: Cleaning;
  log: Log;
}

/**
 * Resolves when nothing there has the name of something new any more, or never will without a next start. To be called before anything is built or removed;
 * what resists is tried again under names that nobody takes. Never rejects.
 */
export async function clearAsides({ layout, cleaning, log }: AsideTools): Promise<void> {
  const remove = async (path: string): Promise<void> => {
    try {
      // What goes already needs no further name.
      if (isRemoved(path)) await cleaning.attempt(path, () => removeTree(path));
      else await cleaning.removeDirectory(path);
    } catch (error) {
      log.error('aside_not_removed', { path, why: describe(error) });
    }
  };
  for (const [directory, isAside] of [
    [layout.images, (name: string): boolean => isBuildWork(name) || isRemoved(name)],
    [layout.vms, isRemoved],
  ] as const) {
    const names = await readdir(directory).catch(() => []);
    await Promise.all(names.filter((name) => isAside(name)).map((name) => remove(join(directory, name))));
  }
}
