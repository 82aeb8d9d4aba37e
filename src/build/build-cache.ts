// Keeps the storage bounded. Layers of earlier builds are a cache: they go, all at once, when the storage has grown past the
// bound and no build is running. Working containers of builds that were killed go whenever no build is running.
import { join } from 'node:path';
import { z } from 'zod';
import { Fault, isFault } from '../lib/errors.ts';
import { run } from '../lib/process.ts';
import { type ContainerStore, runBuildah } from './storage.ts';

/** Images below this name are the host's own bases and are never evicted. */
export const localImagePrefix = 'localhost/waterbear/';

export const defaultCacheBytes = 20 * 2 ** 30;

const imageList = z.array(z.object({ id: z.string(), names: z.array(z.string()).nullish() }));

async function listImages(store: ContainerStore): Promise<{ id: string; names: string[] }[]> {
  const { stdout } = await runBuildah(store, ['images', '--all', '--json'], {
    timeoutMs: 30_000,
    maxOutputBytes: 16 << 20,
  });
  // Without any image buildah 1.28 prints "null".
  const found = imageList.nullable().safeParse(JSON.parse(stdout || 'null'));
  if (!found.success)
    throw new Fault('internal', { what: 'buildah images gave an answer of an unknown form.' }, found.error);
  return (found.data ?? []).map(({ id, names }) => ({ id, names: names ?? [] }));
}

/** The names that `FROM` finds without a registry, sorted. */
export async function localBaseImages(store: ContainerStore): Promise<string[]> {
  const names = (await listImages(store)).flatMap((image) => image.names);
  return names.filter((name) => name.startsWith(localImagePrefix)).sort();
}

/** Removes an image by id or name; layers that others use stay. Idempotent. */
export async function removeBuildImage(store: ContainerStore, image: string): Promise<void> {
  try {
    await runBuildah(store, ['rmi', '--force', image], { timeoutMs: 60_000 });
  } catch (error) {
    if (!isFault(error, 'process_failed') || !/image not known|not found/i.test(String(error.facts.stderr)))
      throw error;
  }
}

/**
 * Ends what killed builds left and, when the storage is larger than `maxBytes`, drops all layers but the host's own bases.
 * Does nothing while other builds run: the last of them calls this too. Returns whether layers were dropped.
 */
export async function tidyStore(store: ContainerStore, maxBytes = defaultCacheBytes): Promise<boolean> {
  await removeDeadCages(store);
  try {
    await runBuildah(store, ['rm', '--all'], { lock: 'exclusive', timeoutMs: 60_000 });
    if ((await storedBytes(store)) <= maxBytes) return false;
    const others = (await listImages(store)).filter(
      (image) => !image.names.some((name) => name.startsWith(localImagePrefix)),
    );
    if (others.length === 0) return false;
    await runBuildah(store, ['rmi', '--prune', '--force'], { lock: 'exclusive', timeoutMs: 300_000 });
    for (const image of others.filter(({ names }) => names.length > 0)) await removeBuildImage(store, image.id);
    return true;
  } catch (error) {
    if (isFault(error, 'conflict')) return false;
    throw error;
  }
}

/** Directories of cages whose server was killed. No call lives for a day, so an older one is nobody's. */
async function removeDeadCages(store: ContainerStore): Promise<void> {
  const old = ['-mindepth', '1', '-maxdepth', '1', '-mmin', '+1440'];
  await run('find', [join(store.directory, 'cages'), ...old, '-exec', 'rm', '-rf', '--one-file-system', '{}', '+'], {
    timeoutMs: 120_000,
  });
}

async function storedBytes(store: ContainerStore): Promise<number> {
  const { stdout } = await run('du', ['-sx', '--block-size=1', join(store.directory, 'root')], { timeoutMs: 120_000 });
  return Number.parseInt(stdout, 10);
}
