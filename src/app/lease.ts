// A lease: for its time the idle policy does not put a MicroVM to sleep. It holds neither against an explicit suspend, nor against the
// maximum duration, nor does it wake one that sleeps.
import type { MicrovmState } from '../contract/states.ts';
import { invalid } from './caller-checks.ts';
import { changeState } from './change-state.ts';
import type { AppContext } from './context.ts';
import { requireLive } from './require-live.ts';
import type { Caller } from './settings.ts';

/** A lease that nobody renews costs a day at most. */
export const longestLeaseSeconds = 86_400;

export interface Lease {
  microvmId: string;
  state: MicrovmState;
  /** ISO 8601; null when none is in force. */
  leasedUntil: string | null;
}

/** Takes, renews (also to an earlier end) or, with 0, ends the lease. `seconds`: whole, at most `longestLeaseSeconds`. Rejects with `invalid_input`, `not_found` or `conflict`. */
export async function leaseMicrovm(
  app: AppContext,
  caller: Caller,
  microvmId: string,
  seconds: number,
): Promise<Lease> {
  if (!app.settings.limits.idleSignals.lease) {
    throw invalid('This server honours no leases. Start it with --idle-signals that has "lease" among them.');
  }
  const vm = await requireLive(app, caller, microvmId, 'leased');
  const { startedAtMs, maximumDurationSeconds } = vm.row;
  const endMs = Math.min(app.clock.steady() + seconds * 1000, startedAtMs + maximumDurationSeconds * 1000);
  const leaseUntilMs = seconds === 0 ? null : endMs;
  await changeState(app, vm, () => ({ leaseUntilMs }));
  return { microvmId, state: vm.row.state, leasedUntil: leaseEnd(leaseUntilMs, app.clock.steady()) };
}

/** As people are shown it. */
export const leaseEnd = (leaseUntilMs: number | null, nowMs: number): string | null =>
  leaseUntilMs !== null && leaseUntilMs > nowMs ? new Date(leaseUntilMs).toISOString() : null;
