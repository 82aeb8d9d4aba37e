// The real builder: zip → context → container image → root disk.
import { join } from 'node:path';
import { freshDirectory } from '../lib/durable-file.ts';
import { extractArchive } from './archive.ts';
import type { Builder } from './build-image.ts';
import type { ImageAliases } from './dockerfile.ts';
import { buildRootDisk } from './root-disk.ts';
import type { ContainerStore } from './storage.ts';

export interface ContainerBuilderOptions {
  store: ContainerStore;
  /** Other names of base images, e.g. of a registry that cannot be reached. */
  imageAliases?: ImageAliases;
  /** Of one container build. */
  timeoutMs?: number;
}

export function createContainerBuilder(options: ContainerBuilderOptions): Builder {
  return {
    async build(order, onLog, signal) {
      const context = join(order.workDirectory, 'context');
      const workDirectory = join(order.workDirectory, 'disk');
      for (const directory of [context, workDirectory]) await freshDirectory(directory);
      const { entries, unpackedBytes } = await extractArchive(order.archivePath, context, signal ? { signal } : {});
      onLog(`--- the zip holds ${entries} entries, ${unpackedBytes} bytes\n`);
      const network = order.networkNamespace ? { isolationNamespace: order.networkNamespace } : {};
      const disk = { ...options, ...network, context, workDirectory, diskMib: order.diskMib };
      const { rootDisk, plan, codeInstallBytes } = await buildRootDisk(disk, onLog, signal);
      const { argv, environment, workingDirectory, user } = plan;
      return {
        rootDisk,
        codeInstallBytes,
        plan: { argv, environment, workingDirectory, user, allCapabilities: false },
      };
    },
  };
}
