// A MicroVM with two processors: both work, and both go on after each sleep.
import { writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { profiles } from '../../src/config/profiles.ts';
import { ask, buildOrder, projectZip, type RealNode, startRealNode } from '../support/real-node.ts';

interface State {
  nproc: number;
  /** Of a process pinned to each processor. */
  counts: [number, number];
}

let host: RealNode;
beforeAll(async () => {
  host = await startRealNode();
});
afterAll(() => host?.close());

/** Waits until both have counted further. Rejects by the test's deadline. */
async function bothCount(microvmId: string, from: readonly [number, number]): Promise<State> {
  for (;;) {
    const state = await ask<State>(host.node, microvmId);
    if (state.counts[0] > from[0] && state.counts[1] > from[1]) return state;
  }
}

test.runIf(availableParallelism() >= 2)('two processors work, sleep and wake', async () => {
  const archivePath = join(host.directory, 'processors.zip');
  await writeFile(archivePath, await projectZip('processors'));
  const order = buildOrder(archivePath, profiles.open.sizes[4096]);
  await host.node.build(order, () => {});
  const names = ['microvm-one', 'microvm-two'];
  for (const microvmId of names) {
    await host.node.launch({ microvmId, buildId: order.buildId });
    let state = await bothCount(microvmId, [0, 0]);
    expect(state.nproc).toBe(2);
    for (let round = 0; round < 4; round++) {
      await host.node.suspend(microvmId);
      await host.node.resume(microvmId);
      state = await bothCount(microvmId, state.counts);
      expect(state.nproc).toBe(2);
    }
  }
  for (const microvmId of names) await host.node.terminate(microvmId);
});
