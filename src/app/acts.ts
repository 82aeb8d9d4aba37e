// The four acts on a host that convergence chooses from. Each looks first whether the host has already got there (a crash
// or a failed write may lie between act and record), and each ends by recording what is, never what was hoped for.
import { Fault, isFault } from '../lib/errors.ts';
import type { MicrovmChange } from '../store/microvms.ts';
import type { MicrovmRow } from '../store/tables.ts';
import { changeState, ended, reasonOf } from './change-state.ts';
import { type AppContext, leave } from './context.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import { withLaunch, withSuspend } from './report.ts';

export type Act = (app: AppContext, vm: LiveMicrovm) => Promise<void>;

const retryPauseMs = 5000;
const longestIdlePauseMs = 600_000;

const onHost = (app: AppContext, vm: LiveMicrovm): 'running' | 'asleep' | undefined =>
  app.node.list().find(({ microvmId }) => microvmId === vm.row.microvmId)?.state;

const isOver = ({ state }: MicrovmRow): boolean => state === 'TERMINATING' || state === 'TERMINATED';

/** PENDING for the first time. */
export const launch: Act = async (app, vm) => {
  const { microvmId, buildId, runHookPayload } = vm.row;
  try {
    const order = { microvmId, buildId, ...(runHookPayload === null ? {} : { runHookPayload }) };
    const report = onHost(app, vm) === 'running' ? undefined : await app.node.launch(order);
    await changeState(app, vm, (row) =>
      row.state === 'PENDING'
        ? { state: 'RUNNING', launchedAtMs: app.clock.now(), report: withLaunch(row, 'launch', report) }
        : undefined,
    );
  } catch (error) {
    app.log.warn('microvm.launch_failed', { microvmId, error: String(error) });
    await changeState(app, vm, (row) => (isOver(row) ? undefined : ended(reasonOf(error), app.clock.now())));
  }
};

/** SUSPENDED, or PENDING after an explicit resume. */
export const resume: Act = async (app, vm) => {
  const { microvmId } = vm.row;
  try {
    const report = onHost(app, vm) === 'running' ? undefined : await app.node.resume(microvmId);
    vm.wakeFault = undefined;
    await changeState(app, vm, (row) => (isOver(row) ? undefined : running(row, withLaunch(row, 'wake', report))));
  } catch (error) {
    app.log.warn('microvm.resume_failed', { microvmId, error: String(error) });
    vm.wakeFault = isFault(error) ? error : new Fault('internal', { what: reasonOf(error) }, error);
    await recordReality(app, vm, reasonOf(error));
  }
};

/** SUSPENDING. */
export const suspend: Act = async (app, vm) => {
  const { microvmId } = vm.row;
  if (vm.row.suspendCause === 'idle' && vm.activity !== vm.idleAtActivity) {
    // A request came while the decision was being written. Nothing has happened yet, and nothing does.
    await changeState(app, vm, (row) => (row.suspendCause === 'idle' ? backToRunning(row) : undefined));
    return;
  }
  try {
    // No `await` between the check above and the call: a request that comes later finds SUSPENDING and waits.
    leave(app, microvmId);
    const report = onHost(app, vm) === 'asleep' ? undefined : await app.node.suspend(microvmId);
    vm.failedSuspends = 0;
    await changeState(app, vm, (row) =>
      row.state === 'SUSPENDING' ? { ...asleep(app), report: withSuspend(row, report), stateReason: null } : undefined,
    );
  } catch (error) {
    app.log.warn('microvm.suspend_failed', { microvmId, error: String(error) });
    vm.failedSuspends += 1;
    const pauseMs = Math.min(longestIdlePauseMs, 15_000 * 2 ** vm.failedSuspends);
    vm.idleRetryAtMs = app.clock.now() + pauseMs;
    await recordReality(app, vm, reasonOf(error));
  }
};

/** TERMINATING. */
export const terminate: Act = async (app, vm) => {
  const { microvmId } = vm.row;
  try {
    leave(app, microvmId);
    await app.node.terminate(microvmId);
    await changeState(app, vm, (row) =>
      row.state === 'TERMINATED' ? undefined : ended(row.stateReason ?? 'Success.', app.clock.now()),
    );
  } catch (error) {
    // It stays TERMINATING; the task `unsettled` asks again.
    app.log.error('microvm.terminate_failed', { microvmId, error: String(error) });
    vm.retryAtMs = app.clock.now() + retryPauseMs;
  }
};

const running = (row: MicrovmRow, report: MicrovmRow['report']): MicrovmChange => ({
  state: 'RUNNING',
  stateReason: null,
  suspendedAtMs: null,
  // A suspend asked for meanwhile keeps its cause.
  ...(row.wish === 'RUNNING' ? { suspendCause: null } : {}),
  report,
});

const backToRunning = (row: MicrovmRow): MicrovmChange | undefined =>
  row.state === 'SUSPENDING' ? { state: 'RUNNING', wish: 'RUNNING', suspendCause: null } : undefined;

const asleep = (app: AppContext): MicrovmChange => ({ state: 'SUSPENDED', suspendedAtMs: app.clock.now() });

/** After a failure: writes what the host really has, with the reason, and wishes for nothing else. */
async function recordReality(app: AppContext, vm: LiveMicrovm, stateReason: string): Promise<void> {
  await changeState(app, vm, (row) => {
    if (isOver(row)) return undefined;
    const state = onHost(app, vm);
    if (state === 'running') return { state: 'RUNNING', wish: 'RUNNING', suspendCause: null, stateReason };
    if (state === undefined) return ended(stateReason, app.clock.now());
    const since = row.suspendedAtMs === null ? { suspendedAtMs: app.clock.now() } : {};
    return { state: 'SUSPENDED', wish: 'SUSPENDED', stateReason, ...since };
  });
}
