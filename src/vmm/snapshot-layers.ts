// Which disk layers of its VM a sleeping snapshot is made of.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { openSealed } from '../lib/sealed-json.ts';

const named = z.object({ layers: z.array(z.object({ name: z.string() })) });

/** Their file names, from the manifest. Undefined when it cannot be read, or is of a driver that does not name them: then any may be needed. */
export async function layersOf(snapshot: string): Promise<ReadonlySet<string> | undefined> {
  const text = await readFile(join(snapshot, 'manifest.json'), 'utf8').catch(() => '');
  try {
    return new Set(named.parse(JSON.parse(openSealed(text))).layers.map(({ name }) => name));
  } catch {
    return undefined;
  }
}
