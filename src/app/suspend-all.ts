// On the way down: everything that runs is put to sleep, so that the next start finds it and requests wake it.
import { within } from '../lib/deadline.ts';
import { isFault } from '../lib/errors.ts';
import { changeState } from './change-state.ts';
import type { AppContext } from './context.ts';
import { converge } from './convergence.ts';
import type { LiveMicrovm } from './microvm-index.ts';

/** Suspends every MicroVM that runs; nothing launches or wakes from now on. Resolves when done or at the deadline. */
export async function suspendAll(app: AppContext, deadlineMs: number): Promise<void> {
  app.draining = true;
  try {
    await within(deadlineMs, 'Suspending all MicroVMs', Promise.all(app.index.all().map((vm) => putToSleep(app, vm))));
  } catch (error) {
    if (!isFault(error, 'deadline_exceeded')) throw error;
    const left = app.index.all().filter(({ row }) => row.state !== 'SUSPENDED');
    app.log.error('server.suspend_all_late', { microvmIds: left.map(({ row }) => row.microvmId) });
  }
}

/** Never rejects: one that cannot be put to sleep (on a full disk, say) keeps no other from it. */
async function putToSleep(app: AppContext, vm: LiveMicrovm): Promise<void> {
  try {
    // What is under way (a launch, a wake) comes to rest first.
    await converge(app, vm);
    await changeState(app, vm, (row) =>
      row.state === 'RUNNING' ? { state: 'SUSPENDING', wish: 'SUSPENDED', suspendCause: 'shutdown' } : undefined,
    );
    await converge(app, vm);
  } catch (error) {
    app.log.error('server.not_suspended', { microvmId: vm.row.microvmId, error: String(error) });
  }
}
