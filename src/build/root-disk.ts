// Dockerfile + context → root disk and application plan. The engine runs in the cage; RUN steps have no network unless the
// caller passes a namespace that has one, and never the host's own, from where they would reach its loopback.
import { constants } from 'node:fs';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, Fault } from '../lib/errors.ts';
import { tidyStore } from './build-cache.ts';
import { BuildOutput, containerFailure } from './container-failure.ts';
import { checkDockerfile, type ImageAliases, maxDockerfileBytes } from './dockerfile.ts';
import { exportDisk } from './export-disk.ts';
import { hostIsFull, watchFreeSpace } from './free-space.ts';
import { type ImagePlan, imagePlan } from './image-plan.ts';
import { pullImages } from './pull-images.ts';
import { type ContainerStore, holdStore, runBuildah } from './storage.ts';

export const defaultBuildTimeoutMs = 15 * 60_000;

export interface RootDiskOrder {
  store: ContainerStore;
  /** Directory with the extracted zip, `Dockerfile` at its root. Absolute. */
  context: string;
  /** Existing directory of this build alone; the root disk is made in it. Absolute. The caller removes it. */
  workDirectory: string;
  diskMib: number;
  /** Of the whole container build; default 15 minutes. */
  timeoutMs?: number;
  /** Network namespace for RUN steps, with whatever egress the caller gave it. Default: a fresh one with a loopback only. */
  isolationNamespace?: string;
  imageAliases?: ImageAliases;
  /** The build ends as DISK_STORAGE_FULL when the host has less left; default 1 GiB. */
  minimumFreeBytes?: number;
}

export interface RootDisk {
  /** Raw ext4, sparse, `diskMib` long. */
  rootDisk: string;
  plan: ImagePlan;
  /** Of the files in the image. */
  codeInstallBytes: number;
  /** In the storage; kept as cache until it is evicted or `removeBuildImage` is called. */
  imageId: string;
}

/** Rejects with `build_failed` ({reason, what}), `aborted`, or `missing_tool`; nothing of the build is left then but the cache. */
export async function buildRootDisk(
  order: RootDiskOrder,
  onLog: (text: string) => void,
  signal?: AbortSignal,
): Promise<RootDisk> {
  const output = new BuildOutput(onLog);
  const space = watchFreeSpace(order.store.directory, order.minimumFreeBytes);
  const stop = AbortSignal.any([space.full, ...(signal ? [signal] : [])]);
  try {
    await using _held = await holdStore(order.store, stop);
    const imageId = await buildImage(order, output, stop);
    const { stdout } = await runBuildah(order.store, ['inspect', '--type', 'image', imageId], {
      timeoutMs: 30_000,
      signal: stop,
    });
    const plan = imagePlan(stdout);
    const disk = await exportDisk({ ...order, imageId }, output, stop);
    return { ...disk, plan, imageId };
  } catch (error) {
    throw space.full.aborted && !signal?.aborted ? hostIsFull(error) : error;
  } finally {
    space.stop();
    await tidyStore(order.store).catch((error: unknown) =>
      output.say(`The build cache could not be tidied: ${describe(error)}`),
    );
  }
}

async function buildImage(order: RootDiskOrder, output: BuildOutput, signal: AbortSignal): Promise<string> {
  const { store, context, workDirectory, timeoutMs = defaultBuildTimeoutMs } = order;
  const checked = checkDockerfile(await readDockerfile(join(context, 'Dockerfile')), order.imageAliases);
  await pullImages(store, checked.images, output, signal);
  const dockerfile = join(workDirectory, 'Dockerfile');
  const idFile = join(workDirectory, 'image-id');
  await writeFile(dockerfile, checked.text);
  try {
    await runBuildah(store, [...buildArguments, '--iidfile', idFile, '--file', dockerfile, context], {
      network: order.isolationNamespace === undefined ? 'none' : { namespace: order.isolationNamespace },
      readable: [context],
      writable: [workDirectory],
      maxFileBytes: order.diskMib * 2 ** 20,
      timeoutMs,
      signal,
      onOutput: output.add,
    });
    return (await readFile(idFile, 'utf8')).trim();
  } catch (error) {
    throw containerFailure(error, 'The container build', output);
  } finally {
    await Promise.all([dockerfile, idFile].map((file) => rm(file, { force: true })));
  }
}

/** Of buildah, without the context and the files of one build. */
export const buildArguments = [
  'bud',
  '--isolation=chroot',
  '--layers',
  '--force-rm',
  '--format=docker',
  '--pull-never',
  '--http-proxy=false',
  // Without these a RUN step can neither leave its root nor make a device node of the host.
  ...['MKNOD', 'SYS_CHROOT', 'NET_RAW', 'AUDIT_WRITE'].map((name) => `--cap-drop=CAP_${name}`),
];

/** The context is hostile too: no link is followed and no more is read than a Dockerfile may have. */
async function readDockerfile(file: string): Promise<string> {
  const refuse = (reason: string, what: string, cause?: unknown): Fault =>
    new Fault('build_failed', { reason, what }, cause);
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    throw refuse('ARCHIVE_DOCKERFILE_NOT_FOUND', 'There is no regular file named Dockerfile at the root.', cause);
  }
  try {
    const facts = await handle.stat();
    if (!facts.isFile())
      throw refuse('ARCHIVE_DOCKERFILE_NOT_FOUND', 'There is no regular file named Dockerfile at the root.');
    if (facts.size > maxDockerfileBytes)
      throw refuse('CONTAINER_BUILD_FAILED', `The Dockerfile is larger than ${maxDockerfileBytes} bytes.`);
    return await handle.readFile('utf8');
  } finally {
    await handle.close();
  }
}
