// From an image or a snapshot to a MicroVM that runs: room, turn, slot, restore, hook. On failure nothing of it is left.
import type { LaunchReport } from '../contract/node-api.ts';
import { Fault } from '../lib/errors.ts';
import { type Stopwatch, startStopwatch } from '../lib/stopwatch.ts';
import type { Slot } from '../net/slot.ts';
import type { Machine } from '../vmm/driver.ts';
import type { Hold } from './admission/memory-ledger.ts';
import { callHook } from './hooks.ts';
import { demandOf, type ImageFacts } from './image-facts.ts';
import { vmPaths } from './layout.ts';
import type { ResidentTools } from './resident-tools.ts';
import type { Snapshots } from './snapshots.ts';
import type { VmRecord } from './vm-record.ts';

/** A MicroVM that runs, and what it occupies. */
export interface Awake {
  machine: Machine;
  slot: Slot | undefined;
}

export interface WakeOrder {
  record: VmRecord;
  image: string;
  facts: ImageFacts;
  snapshots: Snapshots;
  hook: 'run' | 'resume';
  hookBody?: string | undefined;
  /** Called before anything starts, and once it runs with its slot, before anybody hears of that. */
  note(act: 'launch' | 'wake' | 'run', slot?: Slot): Promise<void>;
}

export interface Woken {
  awake: Awake;
  room: Hold;
  report: LaunchReport;
}

/** Rejects with `capacity_exhausted`, `hook_failed`, `aborted`, or with what the driver rejects with. */
export async function wakeUp(tools: ResidentTools, order: WakeOrder): Promise<Woken> {
  const { admission, closing: signal } = tools;
  const { hook, facts, record } = order;
  const stopwatch = startStopwatch();
  const demand = demandOf(record.buildId, facts);
  const act = hook === 'run' ? 'launch' : 'wake';
  const room = await (act === 'launch' ? admission.launch(record.microvmId, demand) : admission.wake(demand));
  let awake: Awake | undefined;
  try {
    await order.note(act);
    // The hook is the guest's own time: it is not part of the turn.
    awake = await admission.turn(act, record.account, () => restore(tools, order, stopwatch), signal);
    stopwatch.split();
    const call = { hook, body: order.hookBody, signal };
    if (await callHook(awake.machine, facts.hooks, call)) stopwatch.lap('hook');
    await order.note('run', awake.slot);
    // From here on the end of the host knows of it.
    if (signal.aborted) throw new Fault('aborted', { what: `The ${act}` });
    return { awake, room, report: reportOf(tools, awake.machine, stopwatch) };
  } catch (error) {
    await awake?.machine.kill();
    await awake?.slot?.release();
    room.release();
    throw error;
  }
}

async function restore(tools: ResidentTools, order: WakeOrder, stopwatch: Stopwatch): Promise<Awake> {
  stopwatch.lap('turn');
  const { driver, slots, layout, admission, closing: signal } = tools;
  const { newest, disks } = order.snapshots;
  const slot = await slots?.acquire(signal);
  stopwatch.lap('slot');
  try {
    const machine = await driver.restore({
      runDirectory: vmPaths(layout, order.record.microvmId).run,
      image: order.image,
      ...(newest === undefined ? {} : { snapshot: newest }),
      disks,
      ...(slot ? { wire: slot } : {}),
      cpu: admission.cpu(order.facts, 'microvm'),
      freshness: order.record.identity,
      signal,
    });
    return { machine, slot };
  } catch (error) {
    await slot?.release();
    throw error;
  }
}

function reportOf({ driver }: ResidentTools, machine: Machine, stopwatch: Stopwatch): LaunchReport {
  const { hook: called, ...before } = stopwatch.stages();
  return {
    stages: { ...before, ...machine.stages, ...(called === undefined ? {} : { hook: called }) },
    repaired: machine.repaired,
    accelerator: driver.accelerator,
  };
}
