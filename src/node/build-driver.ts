// The driver as builds see it: their VMs take room, a turn and a share like all others.
import { readImageRecord } from '../build/image-record.ts';
import type { BuildOrder } from '../contract/node-api.ts';
import type { Driver, Machine, ThrowawayDriver } from '../vmm/driver.ts';
import type { Admission, Demand } from './admission/admission.ts';
import { demandOf } from './image-facts.ts';

/** For the application's VMs, one at a time; the memory of that one is held by the caller as long as the build lasts. */
export function buildDriver(driver: Driver, admission: Admission, build: BuildOrder): Driver {
  const { baselineMib, vcpus, account } = build;
  const cpu = admission.cpu({ baselineMib, vcpus }, 'build');
  return {
    name: driver.name,
    accelerator: driver.accelerator,
    boot: (order) => admission.turn('build', account, () => driver.boot({ ...order, cpu }), order.signal),
    async restore(order) {
      // As in every VM of the image, its memory comes beside the VM's own.
      const { image } = demandOf(build.buildId, await readImageRecord(order.image));
      const demand = { baselineMib: 0, memoryMib: 0, vcpus, ...(image ? { image } : {}) };
      return inRoomOfItsOwn(admission, demand, account, () => driver.restore({ ...order, cpu }), order.signal);
    },
    adopt: (order) => driver.adopt(order),
    sweep: (runRoot, keep, options) => driver.sweep(runRoot, keep, options),
    idleImages: () => driver.idleImages(),
    preload: (image) => driver.preload(image),
    forget: (image) => driver.forget(image),
    compact: (order) => driver.compact(order),
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  };
}

/** For throw-away VMs, which need room of their own beside the application's. They are never put to sleep. */
export function admittedThrowaways(driver: ThrowawayDriver, admission: Admission): ThrowawayDriver {
  return {
    bootThrowaway(order) {
      const { memoryMib: baselineMib, vcpus } = order.size;
      const cpu = admission.cpu({ baselineMib, vcpus }, 'build');
      const demand = { baselineMib, memoryMib: 0, vcpus };
      // The build has waited for its place among the accounts already.
      return inRoomOfItsOwn(admission, demand, '', () => driver.bootThrowaway({ ...order, cpu }), order.signal);
    },
  };
}

/** The room is given back when the VM is gone. */
async function inRoomOfItsOwn(
  admission: Admission,
  demand: Demand,
  account: string,
  start: () => Promise<Machine>,
  signal: AbortSignal | undefined,
): Promise<Machine> {
  const room = await admission.build(demand, signal);
  try {
    const machine = await admission.turn('build', account, start, signal);
    void machine.ended.then(() => room.release());
    return machine;
  } catch (error) {
    room.release();
    throw error;
  }
}
