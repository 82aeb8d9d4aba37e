// Brings each MicroVM from the state it is in to the state that is wished for, one act at a time.
import { Fault, isFault } from '../lib/errors.ts';
import { type Act, launch, resume, suspend, terminate } from './acts.ts';
import { changeState } from './change-state.ts';
import type { AppContext } from './context.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import { recordLoss, recover } from './recovery.ts';

const failurePauseMs = 1000;

/** What to do next for a MicroVM in this state with this wish; undefined when there is nothing to do. */
export function nextAct({ row: { state, wish, launchedAtMs }, isRecovering, loss }: LiveMicrovm): Act | undefined {
  if (isRecovering) return recover;
  // Before anything else: what an act finds asleep then is what the row says.
  if (loss !== undefined) return recordLoss;
  switch (wish) {
    case 'RUNNING':
      if (state === 'PENDING') return launchedAtMs === null ? launch : resume;
      if (state === 'SUSPENDED') return resume;
      if (state === 'SUSPENDING') return suspend;
      return undefined;
    case 'SUSPENDED':
      if (state === 'PENDING') return launchedAtMs === null ? launch : resume;
      if (state === 'RUNNING') return startSuspending;
      if (state === 'SUSPENDING') return suspend;
      return undefined;
    case 'TERMINATED':
      if (state === 'TERMINATED') return undefined;
      return state === 'TERMINATING' ? terminate : startTerminating;
  }
}

const startSuspending: Act = async (app, vm) => {
  await changeState(app, vm, (row) =>
    row.state === 'RUNNING' && row.wish === 'SUSPENDED' ? { state: 'SUSPENDING' } : undefined,
  );
};

const startTerminating: Act = async (app, vm) => {
  await changeState(app, vm, (row) =>
    row.state === 'TERMINATED' || row.state === 'TERMINATING' ? undefined : { state: 'TERMINATING' },
  );
};

/** Starts the worker of this MicroVM if none is at work. Resolves when it has come to rest; never rejects. */
export function converge(app: AppContext, vm: LiveMicrovm): Promise<void> {
  vm.worker ??= Promise.resolve().then(() => work(app, vm));
  return vm.worker;
}

async function work(app: AppContext, vm: LiveMicrovm): Promise<void> {
  try {
    while (vm.retryAtMs <= app.clock.elapsed()) {
      const act = nextAct(vm);
      if (!act) return;
      await act(app, vm);
      vm.unrecorded = undefined;
    }
  } catch (error) {
    // An act could not even be recorded (a full disk, say). The task `unsettled` asks again.
    app.log.error('microvm.convergence_failed', { microvmId: vm.row.microvmId, error: String(error) });
    const what = `What became of MicroVM ${vm.row.microvmId} could not be recorded.`;
    vm.unrecorded = isFault(error) ? error : new Fault('internal', { what }, error);
    vm.retryAtMs = app.clock.elapsed() + failurePauseMs;
  } finally {
    // Runs in the same turn as the decision that nothing is left to do, so that no wish falls between.
    vm.worker = undefined;
  }
}
