// Waking on demand: one wake per MicroVM, however many requests wait for it.
import { Fault } from '../lib/errors.ts';
import { changeState } from './change-state.ts';
import type { AppContext } from './context.ts';
import { converge } from './convergence.ts';
import type { LiveMicrovm } from './microvm-index.ts';

/** A MicroVM that this server put to sleep on its way down wakes by any request: nobody asked for its sleep. */
export const mayWake = ({ row }: LiveMicrovm): boolean => row.autoResume === 1 || row.suspendCause === 'shutdown';

/** Resolves when it runs or has come to rest otherwise; rejects with why a wake failed. */
export function wake(app: AppContext, vm: LiveMicrovm): Promise<void> {
  vm.wake ??= wakeOnce(app, vm).finally(() => {
    vm.wake = undefined;
  });
  return vm.wake;
}

async function wakeOnce(app: AppContext, vm: LiveMicrovm): Promise<void> {
  if (app.draining) throw new Fault('aborted', { what: 'The wake' });
  vm.wakeFault = undefined;
  // The state stays SUSPENDED until `/resume` has answered.
  await changeState(app, vm, (row) =>
    row.state === 'SUSPENDED' && row.wish !== 'RUNNING' ? { wish: 'RUNNING' } : undefined,
  );
  await converge(app, vm);
  if (vm.wakeFault) throw vm.wakeFault;
}

/** Resolves when it runs, waking it if it may be woken. Rejects as `DataPlane.awake` does. */
export async function awake(app: AppContext, vm: LiveMicrovm): Promise<void> {
  for (;;) {
    if (vm.isRecovering) await recovered(app, vm);
    const { state, generation, launchedAtMs } = vm.row;
    switch (state) {
      case 'RUNNING':
        if (vm.signs.runs) return;
        // Between its end on the host and the record of it, which says whether it goes on.
        if (vm.loss === undefined) throw refused(vm, 'is ending');
        await converge(app, vm);
        break;
      case 'PENDING':
        // A resume is waited for in either profile.
        if (launchedAtMs === null && !app.settings.limits.holdWhilePending) throw refused(vm, 'is still PENDING');
        await converge(app, vm);
        break;
      case 'SUSPENDING':
        // Whether it may be woken is only known once it is clear that it falls asleep.
        await converge(app, vm);
        break;
      case 'SUSPENDED':
        if (!mayWake(vm)) throw refused(vm, 'is suspended and its idle policy does not resume it by a request');
        await wake(app, vm);
        break;
      case 'TERMINATING':
      case 'TERMINATED':
        throw refused(vm, `has ended${vm.row.stateReason === null ? '' : ` (${vm.row.stateReason})`}`);
    }
    // Nothing could be recorded: another round would only spin until the pause is over.
    if (vm.row.generation === generation || vm.retryAtMs > app.clock.elapsed()) {
      const what = `MicroVM ${vm.row.microvmId} did not come to rest.`;
      throw vm.unrecorded ?? new Fault('internal', { what });
    }
  }
}

/** The gateway bounds the wait. */
async function recovered(app: AppContext, vm: LiveMicrovm): Promise<void> {
  await converge(app, vm);
  if (vm.isRecovering) throw refused(vm, 'is being taken over from an earlier server');
}

const refused = (vm: LiveMicrovm, why: string): Fault =>
  new Fault('conflict', { what: `MicroVM ${vm.row.microvmId} ${why}.`, resourceId: vm.row.microvmId });
