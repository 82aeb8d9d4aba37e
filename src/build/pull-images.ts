// Brings the images a Dockerfile builds on into the storage before the build, which then runs without a network. Only the
// engine's own registry client runs here, none of the caller's commands.
import { describe, Fault, isFault } from '../lib/errors.ts';
import { printable } from '../lib/printable.ts';
import { localBaseImages } from './build-cache.ts';
import type { BuildOutput } from './container-failure.ts';
import type { ImageUse } from './dockerfile.ts';
import { type ContainerStore, runBuildah } from './storage.ts';

const pullTimeoutMs = 60_000;

/** Rejects with `build_failed` naming the image, its line, why, and the images that are there. */
export async function pullImages(
  store: ContainerStore,
  images: readonly ImageUse[],
  output: BuildOutput,
  signal?: AbortSignal,
): Promise<void> {
  for (const image of images) {
    if (await isLocal(store, image.name)) continue;
    if (image.name.startsWith('localhost/')) throw await unavailable(store, image, noSuchLocalImage);
    output.say(`Pulling ${image.name}`);
    try {
      await runBuildah(store, ['pull', '--quiet', '--retry', '0', `docker://${image.name}`], {
        network: 'host',
        timeoutMs: pullTimeoutMs,
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (isFault(error, 'aborted', 'missing_tool')) throw error;
      const said = isFault(error, 'process_failed') ? String(error.facts.stderr) : describe(error);
      throw await unavailable(store, image, couldNotPull(said), error);
    }
  }
}

async function isLocal(store: ContainerStore, name: string): Promise<boolean> {
  try {
    await runBuildah(store, ['inspect', '--type', 'image', '--format', '{{.FromImageID}}', name], {
      timeoutMs: 30_000,
    });
    return true;
  } catch (error) {
    if (isFault(error, 'process_failed')) return false;
    throw error;
  }
}

async function unavailable(store: ContainerStore, image: ImageUse, why: string, cause?: unknown): Promise<Fault> {
  return imageUnavailable(image, why, await localBaseImages(store).catch(() => []), cause);
}

/** The fault for an image that is neither there nor to be had. `local`: the images that need no registry. */
export function imageUnavailable(image: ImageUse, why: string, local: readonly string[], cause?: unknown): Fault {
  const bases =
    local.length > 0
      ? `Images that need no registry: ${local.join(', ')}.`
      : 'There are no local base images: run npm run setup.';
  const what = `Dockerfile line ${image.line}: the image ${image.name} cannot be used. ${why}. ${bases}`;
  return new Fault('build_failed', { reason: 'CONTAINER_BUILD_FAILED', what, line: image.line }, cause);
}

export const noSuchLocalImage = 'There is no such image on this host';
/** `said`: what the engine printed when it tried. */
export const couldNotPull = (said: string): string =>
  `It is not on this host and could not be pulled: ${lastLine(said)}`;

const lastLine = (text: string): string =>
  printable(text).trim().split('\n').at(-1)?.slice(-400).replace(/\.$/, '') ?? '';
