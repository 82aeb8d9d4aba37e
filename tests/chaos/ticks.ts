// Do guests go on while the server is dead? What a guest's clock missed is compared with what a process on the host missed at the same time:
// on a busy machine nobody gets his ticks in time.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { type GuestState, hostMs } from './guest.ts';
import type { VmEntry } from './ledger.ts';

export const tickMs = 100;
/** A guest may miss so much, and a multiple of what the host itself has missed. */
const allowedMs = 1000;
/** The guests of a busy host share what one group of processes gets. */
const hostTimes = 4;

interface Gap {
  fromMs: number;
  toMs: number;
}

export interface HostTicks {
  /** Longest time without a tick on the host that touches this span, both by `hostMs`. */
  worst(fromMs: number, toMs: number): number;
  stop(): Promise<void>;
}

/** Starts a process that does nothing but tick. */
export async function startHostTicks(): Promise<HostTicks> {
  const child: ChildProcess = fork(`${import.meta.dirname}/ticker.ts`, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const gaps: Gap[] = [];
  child.on('message', (gap: Gap) => gaps.push(gap));
  await once(child, 'spawn');
  return {
    worst(fromMs, toMs) {
      const touching = gaps.filter((gap) => gap.toMs >= fromMs && gap.fromMs <= toMs);
      return Math.max(tickMs, ...touching.map((gap) => gap.toMs - gap.fromMs));
    },
    async stop() {
      const gone = once(child, 'exit');
      child.kill('SIGKILL');
      await gone;
    },
  };
}

/** Sentences about time that a guest missed since it was last seen. `askedMs`: when the request was sent that got `state`. */
export function judgeTicks(entry: VmEntry, state: GuestState, askedMs: number, host: HostTicks): string[] {
  const { seen } = entry;
  if (!seen || entry.disturbed) return [];
  const limit = allowedMs + hostTimes * (host.worst(seen.hostMs, hostMs()) - tickMs);
  const ms = (value: number): string => `${Math.round(value)} ms`;
  const wrong: string[] = [];
  const gap = Math.max(
    0,
    ...state.gaps.filter(({ atMs }) => atMs >= seen.guestMs - tickMs).map((one) => one.monotonicMs),
  );
  if (gap > limit) wrong.push(`its ticks have a gap of ${ms(gap)} (${ms(limit)} allowed)`);
  // A VM that stood still does not know it: its clock stood still too.
  const stood = askedMs - seen.hostMs - (state.monotonicMs - seen.guestMs);
  if (stood > limit) wrong.push(`it stood still for ${ms(stood)} (${ms(limit)} allowed)`);
  return wrong;
}
