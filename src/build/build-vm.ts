// The VMs that a build starts to run the application in: each in a slot of its own, watched while it has something to do, ended whatever happens.
import type { BuildReasonCode } from '../contract/node-api.ts';
import { Fault } from '../lib/errors.ts';
import type { Slot, SlotPool } from '../net/slot.ts';
import type { Driver, Machine, MachineEnd } from '../vmm/driver.ts';
import { unlessItEnds } from '../vmm/unless-it-ends.ts';
import type { Readiness } from './readiness.ts';

export interface BuildVmTools {
  driver: Driver;
  /** Absent where VMs have no network of their own (the fake driver). */
  slots: SlotPool | undefined;
  readiness: Readiness;
  /** Short path for the sockets of one VM; empty or absent. */
  runDirectory: string;
}

/** Does `work` with the VM that `start` resolves with. VM and slot are gone when this settles. */
export async function withBuildVm<T>(
  slots: SlotPool | undefined,
  start: (wire: { wire?: Slot }) => Promise<Machine>,
  work: (machine: Machine) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const slot = await slots?.acquire(signal);
  try {
    const machine = await start(slot ? { wire: slot } : {});
    try {
      return await work(machine);
    } finally {
      await machine.kill();
    }
  } finally {
    await slot?.release();
  }
}

/** Does `work`, but fails at once when the VM or its application ends before it `became` what it should, or `signal` fires. */
export function watched<T>(
  machine: Machine,
  became: string,
  work: () => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  const endedEarly = ({ cause, what, consoleTail }: MachineEnd): Fault => {
    const reason: BuildReasonCode = cause === 'application_exited' ? 'APPLICATION_EXITED' : 'INTERNAL_PLATFORM_ERROR';
    const how = `${what.replace(/\.$/, '')}. That was before it was ${became}.${lastWords(consoleTail)}`;
    return new Fault('build_failed', { reason, what: how });
  };
  return unlessItEnds(machine, endedEarly, work, signal);
}

function lastWords(consoleTail: string): string {
  const lines = consoleTail.trim().split('\n').slice(-5).join('\n');
  return lines ? ` Its last output was:\n${lines}` : '';
}
