// Composes one host from its settings: driver, slots, builder, and the node on top of them.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fakeBuilder } from '../build/fake-builder.ts';
import { openBuilder } from '../build/open-builder.ts';
import type { NodeClient } from '../contract/node-api.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import { slotIndexLimit } from '../net/addresses.ts';
import { createSlotPool } from '../net/slot-pool.ts';
import { createFakeDriver } from '../vmm/fake/fake-driver.ts';
import { createQemuDriver } from '../vmm/qemu/qemu-driver.ts';
import { type CapacitySettings, openAdmission } from './admission/open-admission.ts';
import { admittedThrowaways } from './build-driver.ts';
import { type DamageGuard, guardedDriver } from './guarded-driver.ts';
import { instanceOf, nodeLayout } from './layout.ts';
import { createLocalNode } from './local-node.ts';

export interface NodeSettings extends CapacitySettings {
  /** Absolute. */
  dataDirectory: string;
  /** What set-up made: guest kernel, tools, base images. Absolute. */
  toolkitDirectory: string;
  driver: 'qemu' | 'fake';
  accelerator: 'auto' | 'tcg' | 'kvm';
  egress: 'internet' | 'none';
  /** Whether that includes UDP; default false. */
  egressUdp?: boolean;
  /** Private networks (CIDR) that guests may reach; default none. */
  allowedPrivateRanges?: readonly string[];
  /** MicroVMs that run at once on this host. */
  maxRunning: number;
  /** Slots prepared ahead. */
  preparedSlots: number;
  buildIsolation: 'vm' | 'host';
  buildTimeoutMs?: number;
}

/** Users that VMMs run as: one per slot, none of them in any user database, and other ones than those of a second server on this host. */
const firstVmmUid = (instance: string): number =>
  1_000_000 + (Number.parseInt(instance, 16) % slotIndexLimit) * slotIndexLimit;

/**
 * Opens the host in a time that does not depend on how many MicroVMs there are; what an earlier server left is seen to in the background. Closing it gives
 * everything back: VMs, slots, tables, memory.
 */
export async function openNode(
  settings: NodeSettings,
  clock: Clock,
  log: Log,
  refuseDamaged: DamageGuard = () => {},
): Promise<NodeClient> {
  const instance = instanceOf(settings.dataDirectory);
  const layout = nodeLayout(settings.dataDirectory, instance);
  const shared = { layout, clock, log, admission: await openAdmission(settings, clock) };
  if (settings.driver === 'fake') {
    const readiness = { graceMs: 200, intervalMs: 5 };
    return createLocalNode({
      ...shared,
      driver: guardedDriver(createFakeDriver({ clock }), refuseDamaged),
      builder: fakeBuilder,
      slots: undefined,
      runStepsOnline: false,
      confinesEgress: true,
      readiness,
    });
  }
  const toolkit = (name: string): string => join(settings.toolkitDirectory, name);
  const {
    accelerator,
    egress,
    egressUdp = false,
    allowedPrivateRanges = [],
    maxRunning: max,
    preparedSlots: size,
  } = settings;
  const driver = await createQemuDriver({
    accelerator,
    guestDirectory: toolkit('guest'),
    toolDirectory: toolkit('bin'),
    instance,
    clock,
  });
  const slots = await createSlotPool({
    instance,
    size,
    max,
    egress,
    egressUdp,
    allowedPrivateRanges,
    tapOwner: (index) => firstVmmUid(instance) + index,
    clock,
    log,
  }).catch(async (error: unknown) => {
    await driver[Symbol.asyncDispose]();
    throw error;
  });
  const readiness = { graceMs: 30_000, intervalMs: 100 };
  try {
    const { toolkitDirectory, buildIsolation: isolation, buildTimeoutMs: timeoutMs } = settings;
    const limits = timeoutMs === undefined ? {} : { timeoutMs };
    const { buildCaches: cacheDirectory } = layout;
    const throwaways = admittedThrowaways(driver, shared.admission);
    const where = { isolation, toolkitDirectory, cacheDirectory };
    const builder = await openBuilder({ ...where, driver: throwaways, slots, ...limits });
    const node = await createLocalNode({
      ...shared,
      driver: guardedDriver(driver, refuseDamaged),
      builder,
      slots,
      runStepsOnline: egress === 'internet' && isolation === 'host',
      confinesEgress: egress === 'none',
      readiness,
    });
    const close = async (): Promise<void> => {
      await node.close();
      await slots[Symbol.asyncDispose]();
      await driver[Symbol.asyncDispose]();
    };
    const leave = async (): Promise<number> => {
      const left = await node.leave();
      await (left > 0 ? slots.leave() : slots[Symbol.asyncDispose]());
      await driver[Symbol.asyncDispose]();
      return left;
    };
    return { ...node, close, leave };
  } catch (error) {
    const isFirst = (await readdir(layout.journal).catch(() => [])).length === 0;
    await (isFirst ? slots[Symbol.asyncDispose]() : slots.leave());
    await driver[Symbol.asyncDispose]();
    throw error;
  }
}
