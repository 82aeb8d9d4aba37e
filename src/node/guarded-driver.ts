// The driver of a host that does not touch what is known to be damaged: nothing is restored from it, and no merge makes it look whole.
import type { Driver } from '../vmm/driver.ts';

/** Throws when a file below one of these directories is damaged. */
export type DamageGuard = (directories: readonly string[]) => void;

export function guardedDriver(driver: Driver, refuse: DamageGuard): Driver {
  return {
    name: driver.name,
    accelerator: driver.accelerator,
    boot: (order) => driver.boot(order),
    async restore(order) {
      refuse([order.image, ...(order.snapshot === undefined ? [] : [order.snapshot, order.disks])]);
      return driver.restore(order);
    },
    adopt: (order) => driver.adopt(order),
    sweep: (runRoot, keep, options) => driver.sweep(runRoot, keep, options),
    preload: (image) => driver.preload(image),
    forget: (image) => driver.forget(image),
    idleImages: () => driver.idleImages(),
    async compact(order) {
      refuse([order.image, order.snapshot, order.disks]);
      return driver.compact(order);
    },
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  };
}
