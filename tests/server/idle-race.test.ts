// Where the idle policy and a request meet: the real control plane, on rows that are written slowly, and gateway threads.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as later } from 'node:timers/promises';
import type { KyselyPlugin } from 'kysely';
import { expect, test } from 'vitest';
import { createApp } from '../../src/app/create-app.ts';
import { StubNode } from '../../src/app/testing/stub-node.ts';
import { stubObjects } from '../../src/app/testing/stub-objects.ts';
import { stubScrubber } from '../../src/app/testing/stub-scrubber.ts';
import { caller, demoArn, imageRequest, stubRevoker, testLimits } from '../../src/app/testing/test-app.ts';
import type { RelayAddress } from '../../src/contract/node-api.ts';
import { newTraffic } from '../../src/contract/traffic.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { openStore } from '../../src/store/open-store.ts';
import { createTasks } from '../../src/tasks/create-tasks.ts';
import { startThreadsOver } from './threads-rig.ts';

const idlePolicy = { maxIdleDurationSeconds: 1, suspendedDurationSeconds: 600, autoResumeEnabled: true };
const writeMs = 40;

const slowWrites: KyselyPlugin = {
  transformQuery: ({ node }) => node,
  async transformResult({ result }) {
    if (result.numAffectedRows !== undefined) await later(writeMs);
    return result;
  },
};

class NodeWithRelay extends StubNode {
  address: RelayAddress | undefined;

  override relayOf(microvmId: string): RelayAddress | undefined {
    return super.relayOf(microvmId) && this.address;
  }
}

test('no request is lost, whenever in the decision it comes', async () => {
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-race-'));
  stack.defer(() => rm(directory, { recursive: true }));
  const store = await openStore(':memory:');
  stack.defer(() => store.close());
  const node = new NodeWithRelay();
  const app = createApp({
    ...{ db: store.db.withPlugin(slowWrites), node, clock: systemClock, log: silentLog },
    objects: stubObjects(caller.account, { bucket: { 'app.zip': 'zip' } }),
    settings: {
      ...{ region: 'us-east-1', version: '0', limits: testLimits, hostSuffix: 'vm.localhost' },
      ...{ parallelBuilds: 1, lostVms: 'end', lifecycle: {} },
      account: caller.account,
      ...{ archiveDirectory: join(directory, 'archives'), maxArchiveBytes: 1000 },
    },
    mintToken: async () => 'unused',
    tokens: stubRevoker([]),
    scrubber: stubScrubber(),
    traffic: async () => newTraffic(),
  });
  stack.defer(() => app.close());
  await app.start();
  const rig = stack.use(await startThreadsOver(app.endpoints, 2));
  let lost = 0;
  node.address = await rig.relay((req, res) => {
    // While it is answered it has to run: a real one would be cut off.
    void later(2 * writeMs).then(() => {
      if (node.vms.get(req.headers['x-vm'] as string)?.state !== 'running') lost += 1;
      res.end();
    });
  });
  const { CreateMicrovmImage, RunMicrovm } = app.operations;
  await CreateMicrovmImage(caller, imageRequest);
  await app.context.builds.idle();
  const tasks = createTasks(app, systemClock, { tickMs: 10 });
  stack.defer(() => tasks.stop());
  tasks.start();
  const serve = async (_: unknown, i: number): Promise<void> => {
    const { microvmId = '', endpoint = '' } = await RunMicrovm(caller, { imageIdentifier: demoArn, idlePolicy });
    for (let round = 0; round < 6; round++) {
      const headers = { host: endpoint, 'x-vm': microvmId };
      expect((await rig.ask(microvmId, { servername: endpoint, headers })).status).toBe(200);
      // The decision falls a little later than a second after the last sign of life.
      await later(990 + (((i * 6 + round) * 7) % 100));
    }
  };
  await Promise.all(Array.from({ length: 12 }, serve));
  expect(lost).toBe(0);
  const slept = node.calls.filter((call) => call.startsWith('suspend')).length;
  // Some fell asleep, and some were held back at the last moment.
  expect(slept).toBeGreaterThan(0);
  expect(slept).toBeLessThan(12 * 6);
});
