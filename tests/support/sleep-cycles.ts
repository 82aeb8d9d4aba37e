// One MicroVM that sleeps and wakes many times with memory and a file that nobody could make up: what it keeps, and what its sleep takes.
import { expect } from 'vitest';
import { z } from 'zod';
import { getSigned, membersOf } from '../../cli/server-api.ts';
import { projectZip } from './real-node.ts';
import { startTestServer } from './server.ts';

const sums = z.object({ memorySum: z.string(), fileSum: z.string() });
const shown = z.object({ asleepBytes: z.number() });
const verifyEvery = 10;

export interface CycleReport {
  /** Of each sleep, in order: what the server says that it takes of the disk. */
  asleepBytes: number[];
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
    const asleepBytes: number[] = [];
    let verified = 0;
    for (let cycle = 1; cycle <= cycles; cycle++) {
      await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
      await it.until(vm.id, 'SUSPENDED');
      const { apiUrl, region, credentials } = it.server;
      const path = `/waterbear/v1/microvms/${vm.id}`;
      const answer = await getSigned(apiUrl, path, { region, ...credentials }, Date.now());
      asleepBytes.push(shown.parse(membersOf(answer)).asleepBytes);
      await it.lambda.resumeMicrovm({ microvmIdentifier: vm.id });
      await it.until(vm.id, 'RUNNING');
      await ask('/mark', String(cycle));
      if (cycle % verifyEvery !== 0 && cycle !== cycles) continue;
      expect(sums.parse(await ask('/verify')), `after ${cycle} sleeps`).toEqual(filled);
      verified += 1;
    }
    const { marks, file } = z.object({ marks: z.array(z.number()), file: z.array(z.number()) }).parse(await ask('/'));
    const all = Array.from({ length: cycles }, (_, i) => i + 1);
    expect([marks, file]).toEqual([all, all]);
    return { asleepBytes, verified };
  } finally {
    await it.close();
  }
}
