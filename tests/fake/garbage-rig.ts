// A whole server below its API, on the fake driver, with slots that are names only and files that are as old as the test says.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { createApp } from '../../src/app/create-app.ts';
import { type Survey, survey } from '../../src/app/garbage/find-orphans.ts';
import { createMicrovmImage } from '../../src/app/operations/create-microvm-image.ts';
import { resumeMicrovm } from '../../src/app/operations/resume-microvm.ts';
import { runMicrovm } from '../../src/app/operations/run-microvm.ts';
import { suspendMicrovm } from '../../src/app/operations/suspend-microvm.ts';
import { terminateMicrovm } from '../../src/app/operations/terminate-microvm.ts';
import { updateMicrovmImage } from '../../src/app/operations/update-microvm-image.ts';
import { stubScrubber } from '../../src/app/testing/stub-scrubber.ts';
import { caller, demoArn, imageRequest, stubRevoker, testLimits } from '../../src/app/testing/test-app.ts';
import { fakeBuilder } from '../../src/build/fake-builder.ts';
import type { Lifecycle } from '../../src/contract/lifecycle.ts';
import type { ObjectStore } from '../../src/contract/object-store.ts';
import { newTraffic } from '../../src/contract/traffic.ts';
import { silentLog } from '../../src/lib/log.ts';
import { ManualClock } from '../../src/lib/manual-clock.ts';
import { guestNetwork, type Slot, type SlotPool, type StandingSlot } from '../../src/net/slot.ts';
import { Admission } from '../../src/node/admission/admission.ts';
import { nodeLayout } from '../../src/node/layout.ts';
import { createLocalNode } from '../../src/node/local-node.ts';
import { openStore } from '../../src/store/open-store.ts';
import { createFakeDriver } from '../../src/vmm/fake/fake-driver.ts';
import { zipOf } from '../support/zip.ts';

export class StubSlots implements SlotPool {
  readonly standing = new Map<number, StandingSlot>();
  #next = 0;

  async acquire(): Promise<Slot> {
    const index = this.#next++;
    this.stand(index, 'used');
    return {
      ...{ index, namespace: `stub-${index}`, tap: 'tap0', uid: 0, guestMac: guestNetwork.guestMac },
      relay: { host: '127.0.0.1', port: 1 },
      sentBytes: async () => 0,
      release: async () => void this.standing.delete(index),
    };
  }

  stand(index: number, use: StandingSlot['use']): void {
    this.standing.set(index, { namespace: `stub-${index}`, use, madeMs: Date.now() });
  }

  list(): ReadonlyMap<number, StandingSlot> {
    return new Map(this.standing);
  }

  async discard(index: number): Promise<boolean> {
    return this.standing.get(index)?.use === 'left' && this.standing.delete(index);
  }

  adopt(): Promise<Slot> {
    return Promise.reject(new Error('no slot is left to adopt'));
  }

  async sweep(): Promise<number> {
    return 0;
  }

  async leave(): Promise<void> {}

  async [Symbol.asyncDispose](): Promise<void> {}
}

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);

function oneObject(): ObjectStore {
  const info = { key: 'app.zip', bytes: zip.length, etag: '"e"', lastModifiedMs: 0, contentType: '', metadata: {} };
  const reading: Pick<ObjectStore, 'headBucket' | 'get'> = {
    headBucket: async () => ({ owner: caller.account }),
    get: async () => ({ info, body: Readable.from([zip]) }),
  };
  return reading as ObjectStore;
}

export type GarbageRig = Awaited<ReturnType<typeof garbageRig>>;

export async function garbageRig(lifecycle: Lifecycle = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-garbage-'));
  const [store, clock, slots] = [await openStore(':memory:'), new ManualClock(), new StubSlots()];
  const layout = nodeLayout(directory, 'ab12', join(directory, 'run'));
  const defaults = { memoryMib: 32_000, parallelLaunches: 2, maxRunning: 256, cpuBurst: 4 };
  const admission = new Admission({ ...defaults, clock, disk: async () => ({ totalMib: 1e6, freeMib: 1e6 }) });
  const driver = createFakeDriver({ clock });
  let filesAreOlderMs = 0;
  const node = await createLocalNode({
    ...{ layout, admission, clock, slots, builder: fakeBuilder, log: silentLog, runStepsOnline: false },
    ...{ driver, confinesEgress: true, readiness: { graceMs: 200, intervalMs: 5 } },
    fileTime: () => Date.now() + filesAreOlderMs,
  });
  const settings = {
    ...{ region: 'us-east-1', version: '0', account: caller.account, limits: testLimits, hostSuffix: 'vm.localhost' },
    ...{
      archiveDirectory: layout.archives,
      maxArchiveBytes: 1e6,
      parallelBuilds: 1,
      lostVms: 'end' as const,
      lifecycle,
    },
  };
  const app = createApp({
    ...{ db: store.db, node, objects: oneObject(), clock, log: silentLog, settings, tokens: stubRevoker([]) },
    ...{ mintToken: async () => 'token', traffic: async () => newTraffic(), scrubber: stubScrubber() },
  });
  await app.start();
  const settle = async (): Promise<void> => {
    const { builds, deletions, tidying, index } = app.context;
    await builds.idle();
    for (const vm of index.all()) await vm.worker;
    await deletions.idle();
    await tidying.idle();
  };
  const build = async (name = 'demo'): Promise<string> => {
    const arn = demoArn.replace(/demo$/, name);
    const exists = await app.operations.GetMicrovmImage(caller, { imageIdentifier: arn }).catch(() => undefined);
    const { name: _, ...request } = imageRequest;
    if (exists) await updateMicrovmImage(app.context, caller, { ...request, imageIdentifier: arn });
    else await createMicrovmImage(app.context, caller, { ...imageRequest, name });
    await settle();
    return arn;
  };
  return {
    ...{ app, context: app.context, node, driver, clock, store, slots, layout, directory, settle, build },
    async launch(imageIdentifier = demoArn): Promise<string> {
      const { microvmId } = await runMicrovm(app.context, caller, { imageIdentifier });
      await settle();
      return microvmId;
    },
    /** All files become older, and the clock goes on as long. */
    async age(ms: number): Promise<void> {
      filesAreOlderMs += ms;
      await clock.advance(ms);
    },
    /** As old as everything else, at once an orphan where nobody owns it. */
    async plant(path: string, content = 'x'.repeat(5000)): Promise<void> {
      await mkdir(dirname(join(directory, path)), { recursive: true });
      await writeFile(join(directory, path), content);
    },
    survey: (): Promise<Survey> => survey(app.context),
    orphans: async (): Promise<string[]> => (await survey(app.context)).orphans.map(({ id }) => id),
    async [Symbol.asyncDispose](): Promise<void> {
      await app.close();
      await node.close();
      await store.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export const suspend = async (rig: GarbageRig, microvmIdentifier: string): Promise<void> => {
  await suspendMicrovm(rig.context, caller, { microvmIdentifier });
  await rig.settle();
};
export const resume = async (rig: GarbageRig, microvmIdentifier: string): Promise<void> => {
  await resumeMicrovm(rig.context, caller, { microvmIdentifier });
  await rig.settle();
};
export const terminate = async (rig: GarbageRig, microvmIdentifier: string): Promise<void> => {
  await terminateMicrovm(rig.context, caller, { microvmIdentifier });
  await rig.settle();
};

/** With an image of two versions, a MicroVM that runs and one that has slept twice and sleeps. */
export async function busyRig() {
  const rig = await garbageRig();
  await rig.build();
  await rig.build();
  const [running, asleep] = [await rig.launch(), await rig.launch()];
  await suspend(rig, asleep);
  await resume(rig, asleep);
  await suspend(rig, asleep);
  const [buildId = ''] = (await readdir(rig.layout.images)).sort();
  return { rig, running, asleep, buildId };
}
