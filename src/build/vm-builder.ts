// Builds an image inside a throw-away VM: zip and Dockerfile are opened there, RUN steps run there, and the root disk is written
// there. The host sees a log, a plan it checks, and the bytes of a disk it never looks into.
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { freshDirectory, reclaim, remove } from '../lib/durable-file.ts';
import type { SlotPool } from '../net/slot.ts';
import type { ThrowawayDriver } from '../vmm/driver.ts';
import { defaultArchiveLimits } from './archive.ts';
import { archiveFault } from './archive-tree.ts';
import type { Builder, ContainerOrder } from './build-image.ts';
import type { BuilderOrder } from './builder-protocol.ts';
import { makeSparseDisk, takeCacheDisk } from './cache-disk.ts';
import { BuildOutput } from './container-failure.ts';
import { type ImageAliases, maxDockerfileBytes } from './dockerfile.ts';
import { diskArguments } from './export-disk.ts';
import { hostIsFull, watchFreeSpace } from './free-space.ts';
import { imagePlan } from './image-plan.ts';
import { buildArguments, defaultBuildTimeoutMs } from './root-disk.ts';
import { registriesFile } from './storage.ts';
import { directBuild, type VmBuild, type VmEnding } from './vm-conversation.ts';

export interface VmBuilderOptions {
  driver: ThrowawayDriver;
  slots: SlotPool;
  /** Of the builder VM, as set-up makes it. */
  rootDisk: string;
  /** Container storage of this host, for its registry settings. */
  containers: string;
  cacheDirectory: string;
  /** Length of an account's cache disk; it occupies what it holds. */
  cacheMib?: number;
  memoryMib?: number;
  /** Of the whole container build. */
  timeoutMs?: number;
  imageAliases?: ImageAliases;
  /** A build ends as DISK_STORAGE_FULL when the host has less left; default 1 GiB. */
  minimumFreeBytes?: number;
}

const vcpus = 2;
/** The VM keeps the limit itself, so that its cache survives; this much later its word is not waited for any more. */
const slackMs = 120_000;

export function createVmBuilder(options: VmBuilderOptions): Builder {
  return {
    async build(order, onLog, signal) {
      const { workDirectory, diskMib } = order;
      const output = new BuildOutput(onLog);
      const question = await orderFor(options, order);
      const rootDisk = join(workDirectory, 'root.ext4');
      await makeSparseDisk(rootDisk, diskMib);
      const { cacheDirectory, cacheMib = 16 * 1024, imageAliases = {} } = options;
      const cache = await takeCacheDisk(cacheDirectory, order.account, workDirectory, cacheMib);
      const { memoryMib = 2048 } = options;
      const build = { question, output, diskMib, memoryMib, imageAliases };
      const ending = await withSpace(options, workDirectory, signal, (stop) =>
        inVm(options, order, [cache.path, rootDisk], build, stop),
      );
      await cache.giveBack();
      if ('fault' in ending) throw ending.fault;
      await reclaim(rootDisk);
      const { argv, environment, workingDirectory, user } = imagePlan(ending.inspected);
      const plan = { argv, environment, workingDirectory, user, allCapabilities: false };
      return { rootDisk, codeInstallBytes: ending.codeInstallBytes, plan };
    },
  };
}

/** Ends `work` before the host's disk is full. */
async function withSpace<T>(
  options: VmBuilderOptions,
  directory: string,
  signal: AbortSignal | undefined,
  work: (stop: AbortSignal) => Promise<T>,
): Promise<T> {
  const space = watchFreeSpace(directory, options.minimumFreeBytes);
  try {
    return await work(signal ? AbortSignal.any([signal, space.full]) : space.full);
  } catch (error) {
    throw space.full.aborted && !signal?.aborted ? hostIsFull(error) : error;
  } finally {
    space.stop();
  }
}

/** From the boot of the VM to its end. The disks are written to. */
async function inVm(
  options: VmBuilderOptions,
  order: ContainerOrder,
  disks: readonly string[],
  build: VmBuild,
  signal: AbortSignal,
): Promise<VmEnding> {
  const { slots, driver, rootDisk } = options;
  const scratch = join(order.workDirectory, 'scratch');
  await freshDirectory(scratch);
  const slot = await slots.acquire(signal);
  try {
    const machine = await driver.bootThrowaway({
      runDirectory: order.runDirectory,
      size: { memoryMib: build.memoryMib, vcpus },
      rootDisk,
      scratch,
      disks: [{ path: order.archivePath, writable: false }, ...disks.map((path) => ({ path, writable: true }))],
      wire: slot,
      signal,
    });
    try {
      const deadline = AbortSignal.timeout(build.question.timeoutMs + slackMs);
      return await directBuild(machine, build, deadline, signal);
    } finally {
      await machine.kill();
    }
  } finally {
    await slot.release();
    await remove(scratch);
  }
}

async function orderFor(options: VmBuilderOptions, order: ContainerOrder): Promise<BuilderOrder> {
  const limits = defaultArchiveLimits;
  const { size: zipBytes } = await stat(order.archivePath);
  if (zipBytes > limits.zipBytes) throw archiveFault(`The zip is larger than ${limits.zipBytes} bytes.`);
  const textOf = (file: string): Promise<string> => readFile(file, 'utf8').catch(() => '');
  return {
    zipBytes,
    limits,
    timeoutMs: options.timeoutMs ?? defaultBuildTimeoutMs,
    maxFileBytes: order.diskMib * 2 ** 20,
    maxDockerfileBytes,
    buildArguments,
    diskArguments: diskArguments('UUID'),
    registries: await textOf(registriesFile(options.containers)),
    authorities: await textOf('/etc/ssl/certs/ca-certificates.crt'),
  };
}
