// When a MicroVM counts as idle, and its suspend by the idle policy.
import { changeState } from './change-state.ts';
import type { AppContext } from './context.ts';
import { converge } from './convergence.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import { logSleep, sleepRecord } from './sleep-record.ts';

/** Quiet, by every signal that counts, for as long as its idle policy says; false without a policy. */
export function isIdle(app: AppContext, vm: LiveMicrovm): boolean {
  const { state, wish, maxIdleSeconds, leaseUntilMs } = vm.row;
  if (vm.isRecovering || state !== 'RUNNING' || wish !== 'RUNNING' || maxIdleSeconds === null) return false;
  const { requests, lease } = app.settings.limits.idleSignals;
  const nowMs = app.clock.elapsed();
  if (requests && vm.signs.inFlight > 0) return false;
  // When it is over, only the other signals count: who gives a lease back is done.
  if (lease && leaseUntilMs !== null && leaseUntilMs > app.clock.steady()) return false;
  const { cpuAtMs = 0, outboundAtMs = 0 } = vm.sampled;
  const lastMs = Math.max(vm.signs.lastActivityMs, cpuAtMs, outboundAtMs);
  return nowMs >= vm.idleRetryAtMs && nowMs - lastMs >= maxIdleSeconds * 1000;
}

/**
 * Lets an idle MicroVM fall asleep (or ends it, when it may not stay suspended at all). Resolves when the wish is
 * written; the suspend itself goes ahead only if no activity was seen until the moment it begins.
 */
export async function suspendIdle(app: AppContext, vm: LiveMicrovm): Promise<void> {
  const seen = vm.signs.activity;
  const unchanged = (): boolean => vm.signs.activity === seen && isIdle(app, vm);
  if (vm.row.suspendedSeconds === 0) {
    const why = `Idle for ${vm.row.maxIdleSeconds} s (maxIdleDurationSeconds), and suspendedDurationSeconds is 0.`;
    const record = sleepRecord(app, vm, 'idle');
    const row = await changeState(app, vm, () =>
      unchanged() ? { state: 'TERMINATING', wish: 'TERMINATED', stateReason: why } : undefined,
    );
    if (row) logSleep(app, vm, record);
  } else {
    vm.idleAtActivity = seen;
    await changeState(app, vm, () =>
      unchanged() ? { state: 'SUSPENDING', wish: 'SUSPENDED', suspendCause: 'idle' } : undefined,
    );
  }
  void converge(app, vm);
}
