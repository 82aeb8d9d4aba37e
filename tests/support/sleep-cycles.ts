// One MicroVM that sleeps and wakes many times with memory and a file that nobody could make up: what it keeps, and what its sleep takes.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { diskUsage } from '../../src/vmm/qemu/disk-usage.ts';
import { readManifest } from '../../src/vmm/qemu/manifest.ts';
import { projectZip } from './real-node.ts';
import { poll, startTestServer } from './server.ts';

const sums = z.object({ memorySum: z.string(), fileSum: z.string() });
const state = z.object({ marks: z.array(z.number()), file: z.array(z.number()), writtenBytes: z.number() });
const lookEvery = 10;
/** The fewest layers that are merged; docs/architecture.md. */
const mostLayers = 6;

/** What a sleep takes of the host's disk. */
export interface Sleep {
  memoryBytes: number;
  diskBytes: number;
  /** What the guest's kernel has written to its disk until then. */
  writtenBytes: number;
}

export interface CycleReport {
  /** Every tenth, and the last. */
  sleeps: Sleep[];
  /** How often the guest has compared everything. */
  verified: number;
}

/** `mib` of random memory and a random file as large. Rejects when the guest finds anything changed. */
export async function sleepManyTimes(cycles: number, mib: number): Promise<CycleReport> {
  const it = await startTestServer();
  try {
    const built = await it.build('cycles', await projectZip('chaos'));
    expect(built).toMatchObject({ state: 'SUCCESSFUL' });
    const vm = await it.run(built.imageArn);
    const ask = async (path: string, body?: string): Promise<unknown> => {
      const answer = await it.get(vm.endpoint, vm.token, path, body);
      expect(answer.status, `${path}: ${JSON.stringify(answer.headers)}`).toBe(200);
      return JSON.parse(answer.body);
    };
    await it.until(vm.id, 'RUNNING');
    const filled = sums.parse(await ask('/fill', String(mib)));
    const sleeps: Sleep[] = [];
    let verified = 0;
    for (let cycle = 1; cycle <= cycles; cycle++) {
      const isLooked = cycle % lookEvery === 0 || cycle === cycles;
      const { writtenBytes } = state.parse(await ask('/'));
      await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
      await it.until(vm.id, 'SUSPENDED');
      if (isLooked) sleeps.push({ ...(await restingSizes(join(it.data, 'vms', vm.id))), writtenBytes });
      await it.lambda.resumeMicrovm({ microvmIdentifier: vm.id });
      await it.until(vm.id, 'RUNNING');
      await ask('/mark', String(cycle));
      if (!isLooked) continue;
      expect(sums.parse(await ask('/verify')), `after ${cycle} sleeps`).toEqual(filled);
      verified += 1;
    }
    const { marks, file } = state.parse(await ask('/'));
    const all = Array.from({ length: cycles }, (_, i) => i + 1);
    expect([marks, file]).toEqual([all, all]);
    return { sleeps, verified };
  } finally {
    await it.close();
  }
}

/**
 * A wake does not wait for a merge of layers, so that those who are woken at once have many; once it rests, it has few. Layers that were merged go one by one
 * after that: it rests when there are no others than its snapshot names.
 */
async function restingSizes(directory: string): Promise<Omit<Sleep, 'writtenBytes'>> {
  const disks = join(directory, 'disk');
  const snapshot = await poll('the merge of layers', async () => {
    const [name = '', ...others] = (await readdir(directory)).filter((one) => one.startsWith('sleep-'));
    // The one that was looked at may just be replaced.
    const manifest = await readManifest(join(directory, name)).catch(() => undefined);
    if (!manifest || others.length > 0 || manifest.layers.length >= mostLayers) return undefined;
    return (await readdir(disks)).length === manifest.layers.length ? join(directory, name) : undefined;
  });
  return { memoryBytes: await diskUsage(snapshot), diskBytes: await diskUsage(disks) };
}
