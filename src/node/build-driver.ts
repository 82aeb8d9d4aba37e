// The driver as builds see it: their VMs take a turn and a share like all others.
import type { BuildOrder } from '../contract/node-api.ts';
import type { Driver, ThrowawayDriver } from '../vmm/driver.ts';
import type { Admission } from './admission/admission.ts';

/** For the application's VM; the build's own demand is held by the caller as long as it lasts. */
export function buildDriver(driver: Driver, admission: Admission, build: BuildOrder): Driver {
  return {
    name: driver.name,
    accelerator: driver.accelerator,
    boot(order) {
      const cpu = admission.cpu({ baselineMib: build.baselineMib, vcpus: order.size.vcpus }, 'build');
      return admission.turn('build', build.account, () => driver.boot({ ...order, cpu }), order.signal);
    },
    restore: (order) => driver.restore(order),
    preload: (image) => driver.preload(image),
    forget: (image) => driver.forget(image),
    compact: (order) => driver.compact(order),
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  };
}

/** For throw-away VMs, which need room of their own beside the application's. They are never put to sleep. */
export function admittedThrowaways(driver: ThrowawayDriver, admission: Admission): ThrowawayDriver {
  return {
    async bootThrowaway(order) {
      const { memoryMib: baselineMib, vcpus } = order.size;
      const room = await admission.build({ baselineMib, memoryMib: 0, vcpus }, order.signal);
      try {
        const cpu = admission.cpu({ baselineMib, vcpus }, 'build');
        // The build has waited for its place among the accounts already.
        const machine = await admission.turn('build', '', () => driver.bootThrowaway({ ...order, cpu }), order.signal);
        void machine.ended.then(() => room.release());
        return machine;
      } catch (error) {
        room.release();
        throw error;
      }
    },
  };
}
