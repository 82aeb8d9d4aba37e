// The machine of a VM that runs from an image: restored by this server, or adopted from an earlier one.
import type { Clock } from '../../lib/clock.ts';
import type { RestoreOrder } from '../driver.ts';
import type { ImageLease } from './image-cache.ts';
import { type MachineParts, QemuMachine } from './qemu-machine.ts';
import { type SuspendParts, suspendSaver } from './savers.ts';
import { removeRunDirectory } from './vmm-record.ts';

export interface RestoredParts
  extends Pick<SuspendParts, 'lowerLayers' | 'topLayer'>,
    Pick<MachineParts, 'process' | 'guest' | 'stages' | 'repaired' | 'stalled'> {
  order: Pick<RestoreOrder, 'runDirectory' | 'disks' | 'onConsole'>;
  lease: ImageLease;
  clock: Clock;
}

export function restoredMachine({ order, lease, clock, lowerLayers, topLayer, ...live }: RestoredParts): QemuMachine {
  const { runDirectory, disks, onConsole } = order;
  const { image } = lease;
  return new QemuMachine({
    ...live,
    onConsole,
    imageSaver: undefined,
    suspendSaver: (directory) =>
      suspendSaver({ directory, runDirectory, disks, image, lowerLayers, topLayer, nowMs: clock.now() }),
    release: async () => {
      lease.release();
      await removeRunDirectory(runDirectory);
    },
    forget: () => lease.release(),
  });
}
