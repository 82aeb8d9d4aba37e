// The driver as a build sees it: its VMs take a turn and a share like all others, and what is larger than the application's VM needs room of its own.
import type { BuildOrder } from '../contract/node-api.ts';
import type { BootOrder, Driver, Machine } from '../vmm/driver.ts';
import type { Admission } from './admission/admission.ts';

/** The build's own demand is held by the caller as long as it lasts. */
export function buildDriver(driver: Driver, admission: Admission, build: BuildOrder): Driver {
  const boot = async (order: BootOrder): Promise<Machine> => {
    const { memoryMib, vcpus } = order.size;
    // The application's VM counts by its baseline, as it will when it runs; any other VM as a whole.
    const baselineMib = memoryMib === build.memoryMib ? build.baselineMib : memoryMib;
    const more = Math.max(0, baselineMib - build.baselineMib);
    const sleepMib = Math.max(0, memoryMib - build.memoryMib);
    const needsMore = more > 0 || sleepMib > 0;
    const demand = { baselineMib: more, memoryMib: sleepMib, vcpus };
    const room = needsMore ? await admission.build(demand, order.signal) : undefined;
    try {
      const cpu = order.cpu ?? admission.cpu({ baselineMib, vcpus }, 'build');
      const machine = await admission.turn('build', '', () => driver.boot({ ...order, cpu }), order.signal);
      void machine.ended.then(() => room?.release());
      return machine;
    } catch (error) {
      room?.release();
      throw error;
    }
  };
  return {
    name: driver.name,
    accelerator: driver.accelerator,
    boot,
    restore: (order) => driver.restore(order),
    preload: (image) => driver.preload(image),
    compact: (order) => driver.compact(order),
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  };
}
