// The four acts on a host that convergence chooses from. Each looks first whether the host has already got there (a crash
// or a failed write may lie between act and record), and each ends by recording what is, never what was hoped for.
import type { LaunchOrder, NodeMicrovm, StageTimes } from '../contract/node-api.ts';
import { Fault, isFault } from '../lib/errors.ts';
import { fromJson } from '../store/json.ts';
import type { MicrovmChange } from '../store/microvms.ts';
import type { MicrovmRow } from '../store/tables.ts';
import { changeState, ended, reasonOf } from './change-state.ts';
import { egressOf } from './connectors.ts';
import type { AppContext } from './context.ts';
import { correction, holdsAll } from './correction.ts';
import { leave } from './endpoints.ts';
import type { Act as MeasuredAct } from './metrics/stage-times.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import { onHost } from './recovery.ts';
import { whyBack, withLaunch, withSuspend } from './report.ts';
import { logSleep, sleepRecord } from './sleep-record.ts';

export type Act = (app: AppContext, vm: LiveMicrovm) => Promise<void>;

const retryPauseMs = 5000;
const longestIdlePauseMs = 600_000;

const stateOnHost = (app: AppContext, vm: LiveMicrovm): NodeMicrovm['state'] | undefined =>
  onHost(app, vm.row.microvmId)?.state;

/** From which one it runs now. */
const snapshotOf = (app: AppContext, vm: LiveMicrovm): number => onHost(app, vm.row.microvmId)?.snapshot ?? 0;

/** By an attempt of before, whose record failed. */
function wasPutToSleep(app: AppContext, { row }: LiveMicrovm): boolean {
  const host = onHost(app, row.microvmId);
  return host?.state === 'asleep' && holdsAll(row, host.snapshot);
}

const isOver = ({ state }: MicrovmRow): boolean => state === 'TERMINATING' || state === 'TERMINATED';

/** What the host answered. An error while recording it is something else: that act is taken up again as a whole. */
type Outcome<T> = { report: T | undefined } | { error: unknown };

async function attempt<T>(app: AppContext, vm: LiveMicrovm, what: string, act: () => Promise<T> | undefined) {
  try {
    return { report: await act() } satisfies Outcome<T>;
  } catch (error) {
    app.log.warn(`microvm.${what}_failed`, { microvmId: vm.row.microvmId, error: String(error) });
    return { error } satisfies Outcome<T>;
  }
}

function note(app: AppContext, { row }: LiveMicrovm, act: MeasuredAct, outcome: Outcome<{ stages: StageTimes }>): void {
  if ('report' in outcome && outcome.report) app.stageMetrics.record(row.microvmId, act, outcome.report.stages);
}

function launchOrder({
  microvmId,
  buildId,
  account,
  generation,
  runHookPayload,
  egressConnectors,
}: MicrovmRow): LaunchOrder {
  const egress = egressOf(fromJson(egressConnectors));
  return {
    microvmId,
    buildId,
    account,
    generation,
    ...(runHookPayload === null ? {} : { runHookPayload }),
    ...(egress ? { egress } : {}),
  };
}

/** PENDING for the first time. */
export const launch: Act = async (app, vm) => {
  const order = launchOrder(vm.row);
  const outcome = await attempt(app, vm, 'launch', () =>
    stateOnHost(app, vm) === 'running' ? undefined : app.node.launch(order),
  );
  const nowMs = app.clock.steady();
  note(app, vm, 'launch', outcome);
  await changeState(app, vm, (row) => {
    if (row.state !== 'PENDING') return undefined;
    if ('error' in outcome) return ended(reasonOf(outcome.error), nowMs);
    return {
      state: 'RUNNING',
      launchedAtMs: nowMs,
      report: withLaunch(row, 'launch', snapshotOf(app, vm), outcome.report),
    };
  });
};

/** SUSPENDED, or PENDING after an explicit resume. */
export const resume: Act = async (app, vm) => {
  const outcome = await attempt(app, vm, 'resume', () =>
    stateOnHost(app, vm) === 'running' ? undefined : app.node.resume(vm.row.microvmId, vm.row.generation),
  );
  if ('error' in outcome) {
    const { error } = outcome;
    vm.wakeFault = isFault(error) ? error : new Fault('internal', { what: reasonOf(error) }, error);
    await recordReality(app, vm, reasonOf(error));
    return;
  }
  vm.wakeFault = undefined;
  note(app, vm, 'wake', outcome);
  await changeState(app, vm, (row) =>
    isOver(row) ? undefined : running(row, withLaunch(row, 'wake', snapshotOf(app, vm), outcome.report)),
  );
};

/** SUSPENDING. */
export const suspend: Act = async (app, vm) => {
  const { microvmId } = vm.row;
  if (vm.row.suspendCause === 'idle' && vm.signs.activity !== vm.idleAtActivity) {
    // A request came while the decision was being written. Nothing has happened yet, and nothing does.
    await changeState(app, vm, (row) => (row.suspendCause === 'idle' ? backToRunning(row) : undefined));
    return;
  }
  // Its signs have said since it became SUSPENDING that it does not run: a request that was not counted above waits.
  leave(app, vm);
  const record = sleepRecord(app, vm, vm.row.suspendCause ?? 'requested');
  const outcome = await attempt(app, vm, 'suspend', () =>
    wasPutToSleep(app, vm) ? undefined : app.node.suspend(microvmId, vm.row.generation),
  );
  if ('error' in outcome) {
    // One that fails because its VM is gone is that loss.
    const isHook = isFault(outcome.error, 'hook_failed') && vm.loss === undefined;
    if (app.settings.limits.suspendHookFailureEnds && isHook) {
      const stateReason = reasonOf(outcome.error);
      await changeState(app, vm, (row) =>
        isOver(row) ? undefined : { state: 'TERMINATING', wish: 'TERMINATED', stateReason },
      );
      return;
    }
    vm.failedSuspends += 1;
    const pauseMs = Math.min(longestIdlePauseMs, 15_000 * 2 ** vm.failedSuspends);
    vm.idleRetryAtMs = app.clock.elapsed() + pauseMs;
    await recordReality(app, vm, reasonOf(outcome.error));
    return;
  }
  vm.failedSuspends = 0;
  note(app, vm, 'suspend', outcome);
  const asleep = { state: 'SUSPENDED', suspendedAtMs: app.clock.steady(), stateReason: null } as const;
  const row = await changeState(app, vm, (row) =>
    row.state === 'SUSPENDING' ? { ...asleep, report: withSuspend(row, record, outcome.report) } : undefined,
  );
  if (row) logSleep(app, vm, record);
};

/** TERMINATING. */
export const terminate: Act = async (app, vm) => {
  const { microvmId } = vm.row;
  try {
    leave(app, vm);
    await app.node.terminate(microvmId, vm.row.generation);
    await changeState(app, vm, (row) =>
      row.state === 'TERMINATED' ? undefined : ended(row.stateReason ?? 'Success.', app.clock.steady()),
    );
  } catch (error) {
    // It stays TERMINATING; the task `unsettled` asks again.
    app.log.error('microvm.terminate_failed', { microvmId, error: String(error) });
    vm.retryAtMs = app.clock.elapsed() + retryPauseMs;
  }
};

const running = (row: MicrovmRow, report: MicrovmRow['report']): MicrovmChange => ({
  state: 'RUNNING',
  // Whoever asks must learn that it went back, however soon it was woken: until it sleeps again.
  stateReason: whyBack(row),
  suspendedAtMs: null,
  // A suspend asked for meanwhile keeps its cause.
  ...(row.wish === 'RUNNING' ? { suspendCause: null } : {}),
  report,
});

const backToRunning = (row: MicrovmRow): MicrovmChange | undefined =>
  row.state === 'SUSPENDING' ? { state: 'RUNNING', wish: 'RUNNING', suspendCause: null } : undefined;

/** After a failure: writes what the host really has, with the reason, and wishes for nothing else. */
async function recordReality(app: AppContext, vm: LiveMicrovm, stateReason: string): Promise<void> {
  const { lostVms } = app.settings;
  await changeState(app, vm, (row) => {
    const host = onHost(app, row.microvmId);
    const nowMs = app.clock.steady();
    if (isOver(row)) return undefined;
    if (host === undefined) return ended(stateReason, nowMs);
    if (host.state === 'running') return { state: 'RUNNING', wish: 'RUNNING', suspendCause: null, stateReason };
    // Its VMM died instead of being put to sleep.
    if (row.state === 'SUSPENDING') return correction(row, { host, why: vm.loss ?? stateReason, nowMs, lostVms });
    // Whoever heard of that first has written it.
    if (row.state === 'RUNNING' || (row.state === 'SUSPENDED' && row.wish === 'SUSPENDED')) return undefined;
    return { state: 'SUSPENDED', wish: 'SUSPENDED', stateReason, suspendedAtMs: row.suspendedAtMs ?? nowMs };
  });
}
