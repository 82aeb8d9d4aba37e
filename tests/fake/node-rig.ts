// A host on the fake driver and a hand-driven clock, for tests that look below the API.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fakeBuilder } from '../../src/build/fake-builder.ts';
import type { NodeClient } from '../../src/contract/node-api.ts';
import { Fault } from '../../src/lib/errors.ts';
import type { Log } from '../../src/lib/log.ts';
import { ManualClock } from '../../src/lib/manual-clock.ts';
import type { SlotPool } from '../../src/net/slot.ts';
import { Admission, type AdmissionParts } from '../../src/node/admission/admission.ts';
import { nodeLayout, vmPaths } from '../../src/node/layout.ts';
import { createLocalNode } from '../../src/node/local-node.ts';
import { createFakeDriver, type FakeDriver } from '../../src/vmm/fake/fake-driver.ts';
import { buildOrder } from '../support/real-node.ts';
import { zipOf } from '../support/zip.ts';

export interface FakeHost {
  directory: string;
  node: NodeClient;
  driver: FakeDriver;
  clock: ManualClock;
  disk: { totalMib: number; freeMib: number };
  logged: string[];
  buildId: string;
  launch(name: string, account?: string): Promise<unknown>;
  build(changes?: Parameters<typeof buildOrder>[1]): Promise<string>;
  restart(): Promise<void>;
  /** The server is killed: whatever it was in the middle of stays as it is. The next one is there when this resolves, but may still be recovering. */
  crash(): Promise<void>;
  /** While set, the next server's adoptions wait for it. */
  holdAdoption: Promise<void> | undefined;
  /** While set, the VMM of this MicroVM survives every attempt of the next server to end it. */
  undying: string | undefined;
  /** The server ends, and the next one is there. Resolves with how many MicroVMs ran on meanwhile. */
  leave(): Promise<number>;
  close(): Promise<void>;
}

const open: FakeHost[] = [];

/** For `afterEach`. */
export async function closeHosts(): Promise<void> {
  for (const host of open.splice(0)) await host.close();
}

/** With an image of 512 MiB; the fake driver's snapshots are so small that their shared memory is 1 MiB. */
export async function hostWith(
  parts: Partial<AdmissionParts> = {},
  restoreMs = 0,
  slots?: () => SlotPool,
): Promise<FakeHost> {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-admission-'));
  const archive = join(directory, 'app.zip');
  await writeFile(archive, zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]));
  const clock = new ManualClock();
  const disk = { totalMib: 100_000, freeMib: 90_000 };
  const logged: string[] = [];
  const note = (name: string): void => void logged.push(name);
  const log: Log = { debug: note, info: note, warn: note, error: note } as unknown as Log;
  const layout = nodeLayout(directory, 'adm0', join(directory, 'run'));
  const make = async () => {
    const driver = createFakeDriver({ clock, latencyMs: { restore: restoreMs } });
    const adopt = driver.adopt.bind(driver);
    driver.adopt = async (order) => {
      await host?.holdAdoption;
      return adopt(order);
    };
    const sweep = driver.sweep.bind(driver);
    driver.sweep = async (runRoot, keep, options) => {
      if (host?.undying === undefined || options?.dryRun) return sweep(runRoot, keep, options);
      await sweep(runRoot, new Set([...keep, vmPaths(layout, host.undying).run]));
      throw new Fault('deadline_exceeded', { what: 'Ending a VMM', ms: 1 });
    };
    const defaults = { memoryMib: 2000, parallelLaunches: 2, maxRunning: 256, cpuBurst: 4 };
    const admission = new Admission({ ...defaults, clock, disk: async () => disk, ...parts });
    const readiness = { graceMs: 200, intervalMs: 5 };
    const shared = {
      builder: fakeBuilder,
      slots: slots?.(),
      runStepsOnline: false,
      confinesEgress: true,
      readiness,
      log,
    };
    return { driver, node: await createLocalNode({ ...shared, layout, driver, admission, clock }) };
  };
  let host: FakeHost | undefined;
  let current = await make();
  const made: FakeHost = {
    ...{ directory, clock, disk, logged, buildId: '', holdAdoption: undefined, undying: undefined },
    get node() {
      return current.node;
    },
    get driver() {
      return current.driver;
    },
    launch: (name, account) =>
      current.node.launch({ microvmId: `microvm-${name}`, buildId: made.buildId, ...(account ? { account } : {}) }),
    async build(changes = {}) {
      const order = buildOrder(archive, changes);
      await current.node.build(order, () => {});
      return order.buildId;
    },
    async restart() {
      await current.node.close();
      current = await make();
    },
    async crash() {
      await current.driver.crash();
      current = await make();
    },
    async leave() {
      const left = await current.node.leave();
      current = await make();
      return left;
    },
    async close() {
      await current.node.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
  host = made;
  open.push(made);
  made.buildId = await made.build();
  return made;
}

export const committed = (host: FakeHost): number => host.node.info().capacity.committedMib;
