// For the fake driver: checks the zip as the real builder does, but makes no disk.
import { join } from 'node:path';
import { freshDirectory } from '../lib/durable-file.ts';
import { extractArchive } from './archive.ts';
import type { Builder } from './build-image.ts';

export const fakeBuilder: Builder = {
  async build(order, onLog, signal) {
    const context = join(order.workDirectory, 'context');
    await freshDirectory(context);
    const { unpackedBytes } = await extractArchive(order.archivePath, context, signal ? { signal } : {});
    onLog('--- the fake driver starts its own application instead of the one in the zip\n');
    const plan = { argv: ['fake'], environment: {}, workingDirectory: '/', user: '', allCapabilities: false };
    return { rootDisk: '', plan, codeInstallBytes: unpackedBytes };
  },
};
