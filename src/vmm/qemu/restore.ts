// From an image, or a sleeping VM's snapshot, to a machine whose guest is fresh and whose application runs.
import type { Clock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import { startStopwatch } from '../../lib/stopwatch.ts';
import type { RestoreOrder } from '../driver.ts';
import { GuestClient } from '../guest-client.ts';
import type { ImageCache } from './image-cache.ts';
import type { EngineRecord } from './manifest.ts';
import { memoryKey } from './memfd.ts';
import type { QemuMachine } from './qemu-machine.ts';
import {
  addLayer,
  applyDelta,
  freshen,
  loadState,
  openSnapshot,
  startVerified,
  verifySnapshot,
} from './restore-steps.ts';
import { restoredMachine } from './restored-machine.ts';
import { startVmm, type VmmPlan, type VmmProcess } from './vmm-process.ts';
import { removeRunDirectory, writeVmmRecord } from './vmm-record.ts';

export interface RestoreTools {
  images: ImageCache;
  engine: (network: EngineRecord['network']) => EngineRecord;
  clock: Clock;
}

/** On failure nothing runs. */
export async function restoreMachine(
  order: RestoreOrder,
  vmm: VmmPlan,
  { images, engine, clock }: RestoreTools,
): Promise<QemuMachine> {
  const stopwatch = startStopwatch();
  const { runDirectory, signal } = order;
  const lease = await images.acquire(order.image);
  let process: VmmProcess | undefined;
  try {
    const { image } = lease;
    const snapshot = order.snapshot ? await openSnapshot(order.snapshot, image, engine) : undefined;
    const lowerLayers = snapshot?.manifest.layers ?? [];
    const top = await addLayer(image, order.disks, lowerLayers);
    stopwatch.lap('prepare');
    const { memoryMib, vcpus } = image.manifest;
    const plan = {
      ...vmm,
      size: { memoryMib, vcpus },
      layers: top.layers,
      memoryFd: image.memory.fd,
      shareMemory: false,
      statePath: snapshot?.statePath ?? image.statePath,
    };
    process = await startVerified(
      () => startVmm(plan, signal),
      async () => snapshot && verifySnapshot(snapshot, order.disks),
    );
    stopwatch.lap('spawn');
    if (snapshot) await applyDelta(process, image, snapshot);
    stopwatch.lap('memory');
    const guest = new GuestClient(process.control, order.wire);
    await loadState(process, stopwatch);
    const repaired = await freshen(process, guest, order, clock);
    stopwatch.lap('freshen');
    const { identity, group } = process;
    const topLayer = top.name;
    const restored = { image: image.id, memory: memoryKey(image.memory.fd), topLayer, lowerLayers };
    // From here on a later server takes the VM over instead of ending it.
    const { bootId } = vmm;
    await writeVmmRecord(runDirectory, { bootId, phase: 'running', process: identity, group: group.name, restored });
    const live = { process, guest, repaired, stages: stopwatch.stages() };
    return restoredMachine({ ...live, order, lease, clock, lowerLayers, topLayer });
  } catch (error) {
    await process?.kill();
    lease.release();
    await removeRunDirectory(runDirectory);
    throw signal?.aborted ? new Fault('aborted', { what: 'Starting a VM' }, error) : error;
  }
}
