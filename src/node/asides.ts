// What builds and removals left half done in the data directory when their server ended.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { remove } from '../lib/durable-file.ts';
import { type Cleaning, removedSuffix } from './cleaning.ts';
import type { NodeLayout } from './layout.ts';

const builtAside = ['.new', '.work'];

/** Resolves after one try; what resists is tried again behind it. To be called before anything is built or removed. */
export async function clearAsides({ layout, cleaning }: { layout: NodeLayout; cleaning: Cleaning }): Promise<void> {
  const clear = (directory: string, suffixes: readonly string[]): Promise<void> =>
    cleaning.attempt(`What was under way in ${directory}`, async () => {
      const names = await readdir(directory);
      for (const name of names.filter((one) => suffixes.some((suffix) => one.endsWith(suffix)))) {
        await remove(join(directory, name));
      }
    });
  await Promise.all([clear(layout.images, [removedSuffix, ...builtAside]), clear(layout.vms, [removedSuffix])]);
}
