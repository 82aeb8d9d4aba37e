// Why a MicroVM was put to sleep, kept with its sleep: who or what decided, and how quiet it was by each signal.
import { steadyAt } from '../lib/clock.ts';
import type { SuspendCause } from '../store/tables.ts';
import type { AppContext } from './context.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import { enabledSignals, type Signal, signalTimes } from './signal-times.ts';

/**
 * Who put it to sleep: a caller (`requested`), its idle policy, this server on its way down, or the end of a server that could not save it
 * any more (`restart`: it sleeps as it was saved before).
 */
export type SleepCause = SuspendCause | 'restart';

export interface SleepRecord {
  cause: SleepCause;
  /** ISO 8601, as all times here. */
  at: string;
  /** What was seen last; `start` when nothing was since it began to run. */
  lastSignal?: Signal | 'start';
  lastSignalAt?: string;
  /** For how long nothing had been seen, by each signal that counts on this server; whole seconds. */
  quietSeconds?: Partial<Record<Signal, number>>;
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** To be taken when the sleep begins. */
export function sleepRecord(app: AppContext, vm: LiveMicrovm, cause: SleepCause): SleepRecord {
  const nowMs = app.clock.steady();
  const at = iso(nowMs);
  const sinceMs = steadyAt(app.clock, vm.sampled.sinceMs);
  const times = signalTimes(app, vm);
  const [lastSignal, lastMs] = (Object.entries(times) as [Signal, number][]).reduce<[Signal | 'start', number]>(
    (latest, next) => (next[1] > latest[1] ? next : latest),
    ['start', sinceMs],
  );
  const quiet = enabledSignals(app).map((name) => [name, Math.floor((nowMs - (times[name] ?? sinceMs)) / 1000)]);
  return { cause, at, lastSignal, lastSignalAt: iso(lastMs), quietSeconds: Object.fromEntries(quiet) };
}

export function logSleep(app: AppContext, vm: LiveMicrovm, record: SleepRecord): void {
  app.log.info('microvm.sleep', { microvmId: vm.row.microvmId, ...record });
}
