// The host's disk fills up under a VM that writes: it waits instead of losing what it wrote, cannot be put to sleep meanwhile, and goes on when there is room.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { run } from '../../src/lib/process.ts';
import { diskOf } from '../../src/node/admission/disk-gauge.ts';
import { type NodeSettings, openNode } from '../../src/node/open-node.ts';
import { ask, buildOrder, projectZip, toolkitDirectory } from '../support/real-node.ts';

interface State {
  count: number;
  file: string;
  fileBytes: number;
}

const mib = 1 << 20;
/** Less than the requests write, more than the VM writes without them. */
const left = 8;
const requests = 6;

test('a VM that finds the disk full waits for room and loses nothing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-full-'));
  const dataDirectory = join(directory, 'data');
  await mkdir(dataDirectory);
  // A file system of its own: what is filled here is nobody else's.
  await run('mount', ['-t', 'tmpfs', '-o', 'size=3G', 'waterbear-full', dataDirectory]);
  const logged: string[] = [];
  const note = (name: string): void => void logged.push(name);
  const settings: NodeSettings = {
    ...{ dataDirectory, toolkitDirectory, maxRunning: 2, preparedSlots: 1, diskReserveMib: 0 },
    ...({ driver: 'qemu', accelerator: 'tcg', egress: 'none', buildIsolation: 'host' } as const),
  };
  try {
    const node = await openNode(settings, systemClock, { ...silentLog, warn: note, error: note });
    try {
      const archivePath = join(directory, 'state.zip');
      await writeFile(archivePath, await projectZip('state'));
      const order = buildOrder(archivePath);
      await node.build(order, () => {});
      const [microvmId, buildId] = ['microvm-full', order.buildId];
      await node.launch({ microvmId, buildId });
      const ballast = join(dataDirectory, 'ballast');
      const { freeMib } = await diskOf(dataDirectory)();
      await run('fallocate', ['-l', `${freeMib - left}M`, ballast]);
      await expect(node.launch({ microvmId: 'microvm-second', buildId })).rejects.toThrow(
        "This host's disk is too full",
      );

      const chunk = 'x'.repeat(4 * mib);
      let answered = 0;
      const writing = (async () => {
        for (; answered < requests; answered++) await ask<State>(node, microvmId, '/', chunk);
      })();
      await vi.waitFor(() => expect(logged).toContain('microvm_waits_for_disk'), { timeout: 120_000, interval: 100 });
      await expect(node.suspend(microvmId)).rejects.toThrow("The host's disk is full");
      expect(logged).not.toContain('microvm_goes_on');
      expect(node.list()).toEqual([{ microvmId, buildId, state: 'running' }]);

      await rm(ballast);
      await vi.waitFor(() => expect(logged).toContain('microvm_goes_on'), { timeout: 60_000, interval: 100 });
      await writing;
      const before = await ask<State>(node, microvmId);
      expect(before.fileBytes).toBe(requests * (50_000 + chunk.length));
      await node.suspend(microvmId);
      await node.resume(microvmId);
      const { file, fileBytes } = await ask<State>(node, microvmId);
      expect([file, fileBytes]).toEqual([before.file, before.fileBytes]);
    } finally {
      await node.close();
    }
  } finally {
    await run('umount', [dataDirectory]);
    await rm(directory, { recursive: true, force: true });
  }
}, 400_000);
