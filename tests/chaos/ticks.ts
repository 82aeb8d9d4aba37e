// Do guests go on while the server is dead? What a guest's clock missed is compared with what a process on the host missed at the same time:
// on a busy machine nobody gets his ticks in time.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { GuestState } from './guest.ts';
import type { VmEntry } from './ledger.ts';

export const tickMs = 100;
/** A guest may miss so much, and a multiple of what the host itself has missed. */
const allowedMs = 1000;
/** The guests of a busy host share what one group of processes gets. */
const hostTimes = 4;
/** Clocks of machines differ by less. */
const fastest = 1.02;

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

/** Sentences about time that a guest missed since it was last seen. `at`: when the request was sent that got `state`, and when it was answered. */
export function judgeTicks(
  entry: VmEntry,
  state: GuestState,
  at: { askedMs: number; answeredMs: number },
  host: HostTicks,
): string[] {
  const { seen } = entry;
  if (!seen || entry.disturbed) return [];
  const limit = allowedMs + hostTimes * (host.worst(seen.answeredMs, at.answeredMs) - tickMs);
  const ms = (value: number): string => `${Math.round(value)} ms`;
  const wrong: string[] = [];
  const gaps = state.gaps.filter(({ atMs }) => atMs >= seen.guestMs - tickMs);
  const gap = Math.max(0, ...gaps.map(({ monotonicMs }) => monotonicMs));
  if (gap > limit) wrong.push(`its ticks have a gap of ${ms(gap)} (${ms(limit)} allowed)`);
  // A VM that stood still does not know it: its clock stood still too. The guest looked at it somewhere between question and answer.
  const passed = state.monotonicMs - seen.guestMs;
  const [least, most] = [at.askedMs - seen.answeredMs, at.answeredMs - seen.askedMs];
  if (least - passed > limit) wrong.push(`it stood still for ${ms(least - passed)} (${ms(limit)} allowed)`);
  if (passed > fastest * most + tickMs) wrong.push(`its clock ran for ${ms(passed)} within ${ms(most)}`);
  return wrong;
}
