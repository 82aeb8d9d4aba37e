// On the way down: everything that runs is put to sleep, so that the next start finds it and requests wake it.
import { pause, within } from '../lib/deadline.ts';
import { isFault } from '../lib/errors.ts';
import { changeState } from './change-state.ts';
import type { AppContext } from './context.ts';
import { converge } from './convergence.ts';
import type { LiveMicrovm } from './microvm-index.ts';

const lookMs = 20;

/** From now on nothing launches or wakes. Resolves when no request is under way, or after `deadlineMs`. */
export async function drain(app: AppContext, deadlineMs: number): Promise<void> {
  app.draining = true;
  const start = performance.now();
  const isBusy = (): boolean => app.index.all().some(({ signs }) => signs.inFlight > 0);
  while (isBusy() && performance.now() - start < deadlineMs) await pause(lookMs);
}

/** Suspends every MicroVM that runs; nothing launches or wakes from now on. Resolves when done or at the deadline. */
export async function suspendAll(app: AppContext, deadlineMs: number): Promise<void> {
  app.draining = true;
  await eachWithin(app, deadlineMs, 'Suspending all MicroVMs', putToSleep);
  const left = app.index.all().filter(({ row }) => row.state !== 'SUSPENDED');
  if (left.length > 0) app.log.error('server.not_suspended', { microvmIds: left.map(({ row }) => row.microvmId) });
}

/** Lets every act come to its end; nothing launches or wakes from now on. Resolves when done or at the deadline. */
export async function restAll(app: AppContext, deadlineMs: number): Promise<void> {
  app.draining = true;
  await eachWithin(app, deadlineMs, 'Coming to rest', converge);
}

async function eachWithin(
  app: AppContext,
  deadlineMs: number,
  what: string,
  act: (app: AppContext, vm: LiveMicrovm) => Promise<void>,
): Promise<void> {
  try {
    await within(deadlineMs, what, Promise.all(app.index.all().map((vm) => act(app, vm))));
  } catch (error) {
    if (!isFault(error, 'deadline_exceeded')) throw error;
    app.log.error('server.stop_late', { error: error.message });
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
