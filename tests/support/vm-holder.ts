// A process that restores one VM with the driver, as a server does, and is there to be killed. It prints `started` when it begins, `running` when the VM runs; then
// each line it reads is the directory of a snapshot to suspend into, after which it prints `asleep`.
import { createInterface } from 'node:readline';
import { systemClock } from '../../src/lib/clock.ts';
import type { RestoreOrder } from '../../src/vmm/driver.ts';
import { createQemuDriver, type QemuDriverOptions } from '../../src/vmm/qemu/qemu-driver.ts';

export interface HolderOrder {
  driver: Omit<QemuDriverOptions, 'clock'>;
  restore: RestoreOrder;
}

if (import.meta.main) {
  const order = JSON.parse(process.argv[2] ?? '') as HolderOrder;
  const driver = await createQemuDriver({ ...order.driver, clock: systemClock });
  console.log('started');
  const machine = await driver.restore(order.restore);
  console.log('running');
  for await (const directory of createInterface({ input: process.stdin })) {
    await machine.suspend(directory);
    console.log('asleep');
  }
}
