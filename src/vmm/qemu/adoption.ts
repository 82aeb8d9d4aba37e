// The steps by which a VM that an earlier server restored becomes this one's. Until it answers nothing is done to it that could not be done again.
import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { z } from 'zod';
import type { Clock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import type { AdoptOrder, Machine } from '../driver.ts';
import { GuestClient } from '../guest-client.ts';
import { adoptVmm } from './adopted-process.ts';
import type { ImageCache } from './image-cache.ts';
import type { Jail } from './jail.ts';
import { manifestName } from './manifest.ts';
import { lives, markedProcess } from './process-identity.ts';
import type { Qmp } from './qmp.ts';
import { restoredMachine } from './restored-machine.ts';
import type { VmmProcess } from './vmm-process.ts';
import { type RunningRecord, readVmmRecord, runningRecord } from './vmm-record.ts';

const helloDeadlineMs = 30_000;
/** Of questions: far above what an earlier server can have come to, so that no answer to one of its own is taken for one to ours. */
const [lowestFirstId, highestFirstId] = [2 ** 40, 2 ** 48 - 1];

/** `stopped`: in the middle of a suspend that nobody will finish. `waits`: for space on the host's disk. `over`: nothing that could go on. */
type RunState = 'runs' | 'stopped' | 'waits' | 'over';

const statusAnswer = z.object({ status: z.string() });
// https://www.qemu.org/docs/master/interop/qemu-qmp-ref.html#qapidoc-RunState
const runStates: ReadonlyMap<string, RunState> = new Map([
  ['running', 'runs'],
  ['paused', 'stopped'],
  ['save-vm', 'stopped'],
  ['io-error', 'waits'],
]);

export interface AdoptionTools {
  images: ImageCache;
  jail: Jail;
  clock: Clock;
}

/** The record of a VM in this run directory whose process lives and is what it says. Undefined when there is none. */
export async function findRunning(runDirectory: string, bootId: string): Promise<RunningRecord | undefined> {
  const record = runningRecord(await readVmmRecord(runDirectory), bootId);
  if (!record) return undefined;
  const marked = await markedProcess(record.process.pid);
  const same = marked?.startTicks === record.process.startTicks && marked.runDirectory === runDirectory;
  return same ? record : undefined;
}

async function runStateOf(qmp: Qmp): Promise<RunState> {
  const answer = statusAnswer.safeParse(await qmp.execute('query-status'));
  if (!answer.success) throw new Fault('vmm_failed', { what: 'answered query-status with something else' });
  return runStates.get(answer.data.status) ?? 'over';
}

/**
 * Takes over the VM of a record that `findRunning` found. Undefined when it is over, or ends meanwhile: what is left of it then is the caller's to remove.
 * Rejects when it lives but cannot be taken over now; then it is as it was, and may be tried again.
 */
export async function adoptMachine(
  order: AdoptOrder,
  record: RunningRecord,
  { images, jail, clock }: AdoptionTools,
): Promise<Machine | undefined> {
  const { image: id, memory: key, lowerLayers, topLayer } = record.restored;
  const lease = await images.acquire(order.image, { id, key, pid: record.process.pid });
  let process: VmmProcess | undefined;
  let guest: GuestClient | undefined;
  try {
    if (lease.image.id !== id) {
      const file = join(order.image, manifestName);
      throw new Fault('snapshot_corrupt', { file, why: 'it is not the one that the VM was started from' });
    }
    process = await adoptVmm(record, order.runDirectory, jail, order.signal);
    const state = await runStateOf(process.qmp);
    if (state === 'over') {
      await process.kill();
      lease.release();
      return undefined;
    }
    guest = new GuestClient(process.control, order.wire, randomInt(lowestFirstId, highestFirstId));
    guest.takeOver();
    if (state !== 'waits') await goOn(process, guest, state, clock);
    const live = { process, guest, stages: {}, repaired: [], stalled: state === 'waits' };
    const machine = restoredMachine({ ...live, order, lease, clock, lowerLayers, topLayer });
    if (state === 'waits') thawOnceItGoesOn(machine, guest);
    return machine;
  } catch (error) {
    guest?.close();
    if (order.signal?.aborted) await process?.kill();
    process?.leave();
    lease.release();
    if (order.signal?.aborted) throw new Fault('aborted', { what: 'Taking over a VM' }, error);
    if (!lives(record.process)) return undefined;
    throw error;
  }
}

/** Lets a guest go on that runs, or was stopped while it was put to sleep. Resolves when its application runs. */
async function goOn(process: VmmProcess, guest: GuestClient, state: RunState, clock: Clock): Promise<void> {
  if (state === 'stopped') await process.qmp.execute('cont');
  await guest.hello(helloDeadlineMs);
  // It may be frozen, or just have been asked to be. The clock of a VM that stood still is late.
  await guest.thaw(state === 'stopped' ? BigInt(clock.now()) * 1_000_000n : undefined);
}

/** A suspend that nobody will finish may have frozen it just before the disk was full. */
function thawOnceItGoesOn(machine: Machine, guest: GuestClient): void {
  machine.onStall((stalled) => {
    if (!stalled) guest.thaw().catch(() => {});
  });
}
