// When each sign of use of a MicroVM was last seen: what its idle policy goes by, and what people are told of it.
import { steadyAt } from '../lib/clock.ts';
import type { AppContext } from './context.ts';
import type { LiveMicrovm } from './microvm-index.ts';

/** `endpoint`: bytes came in, or (where open requests count) a request ended. */
export type Signal = 'endpoint' | 'cpu' | 'outbound' | 'lease';

/** By the steady clock, as in the row. Absent: not since it began to run. A lease that has not ended is seen now. */
export type SignalTimes = Partial<Record<Signal, number>>;

export function signalTimes(app: AppContext, { sampled, signs, row }: LiveMicrovm): SignalTimes {
  const { lastActivityMs } = signs;
  const { cpuAtMs: cpu, outboundAtMs: outbound, sinceMs } = sampled;
  const at = (elapsedMs: number): number => steadyAt(app.clock, elapsedMs);
  const lease = app.settings.limits.idleSignals.lease ? row.leaseUntilMs : null;
  return {
    ...(lastActivityMs > sinceMs ? { endpoint: at(lastActivityMs) } : {}),
    ...(cpu === undefined ? {} : { cpu: at(cpu) }),
    ...(outbound === undefined ? {} : { outbound: at(outbound) }),
    ...(lease === null || lease < at(sinceMs) ? {} : { lease: Math.min(lease, app.clock.steady()) }),
  };
}

/** The signals that count on this server. */
export function enabledSignals({ settings }: AppContext): Signal[] {
  const { lease, cpuPercent, outboundBytes } = settings.limits.idleSignals;
  return [
    'endpoint',
    ...(cpuPercent === undefined ? [] : (['cpu'] as const)),
    ...(outboundBytes === undefined ? [] : (['outbound'] as const)),
    ...(lease ? (['lease'] as const) : []),
  ];
}
