// One MicroVM that sleeps and wakes many times with memory and a file that nobody could make up: what it keeps, and what its sleep takes.
import { join } from 'node:path';
import { expect } from 'vitest';
import { z } from 'zod';
import { getSigned, membersOf } from '../../cli/server-api.ts';
import { diskUsage } from '../../src/vmm/qemu/disk-usage.ts';
import { projectZip } from './real-node.ts';
import { startTestServer, type TestServer } from './server.ts';

const sums = z.object({ memorySum: z.string(), fileSum: z.string() });
const shown = z.object({ asleepBytes: z.number() });
const state = z.object({ marks: z.array(z.number()), file: z.array(z.number()), writtenBytes: z.number() });
const verifyEvery = 10;

export interface Sleep {
  /** What the server says that it takes of the disk: memory and disk together. */
  asleepBytes: number;
  memoryBytes: number;
  diskBytes: number;
  /** What the guest's kernel has written to its disk until then. */
  writtenBytes: number;
}

export interface CycleReport {
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
      expect(answer, path).toMatchObject({ status: 200 });
      return JSON.parse(answer.body);
    };
    const filled = sums.parse(await ask('/fill', String(mib)));
    const sleeps: Sleep[] = [];
    let verified = 0;
    for (let cycle = 1; cycle <= cycles; cycle++) {
      const { writtenBytes } = state.parse(await ask('/'));
      await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
      await it.until(vm.id, 'SUSPENDED');
      sleeps.push({ ...(await sizesOf(it, vm.id)), writtenBytes });
      await it.lambda.resumeMicrovm({ microvmIdentifier: vm.id });
      await it.until(vm.id, 'RUNNING');
      await ask('/mark', String(cycle));
      if (cycle % verifyEvery !== 0 && cycle !== cycles) continue;
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

async function sizesOf({ server, data }: TestServer, microvmId: string): Promise<Omit<Sleep, 'writtenBytes'>> {
  const { apiUrl, region, credentials } = server;
  const answer = await getSigned(apiUrl, `/waterbear/v1/microvms/${microvmId}`, { region, ...credentials }, Date.now());
  const { asleepBytes } = shown.parse(membersOf(answer));
  const diskBytes = await diskUsage(join(data, 'vms', microvmId, 'disk'));
  return { asleepBytes, memoryBytes: asleepBytes - diskBytes, diskBytes };
}
