// What the gateway asks of us, answered from memory.
import type { Activity, DataPlane, Endpoint } from '../contract/data-plane.ts';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import type { AppContext } from './context.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import { awake, mayWake } from './wake.ts';

export function createDataPlane(app: AppContext): DataPlane {
  return {
    find: (host) => endpointOf(app.index.byHost(host)),
    begin: (microvmId) => beginActivity(app, app.index.get(microvmId)),
    awake(microvmId, signal) {
      const vm = app.index.get(microvmId);
      if (!vm) return Promise.reject(new Fault('conflict', { what: `MicroVM ${microvmId} has ended.` }));
      if (vm.row.state === 'RUNNING') return undefined;
      return bounded(awake(app, vm), app.settings.wakeDeadlineMs, `Waking ${microvmId}`, app.clock, signal);
    },
    open: (microvmId, target, signal) => app.node.open(microvmId, target, signal),
    onLeave(listener) {
      app.leaveListeners.push(listener);
    },
  };
}

function endpointOf(vm: LiveMicrovm | undefined): Endpoint | undefined {
  if (!vm) return undefined;
  const { microvmId, host, state } = vm.row;
  return { microvmId, host, state, autoResume: mayWake(vm) };
}

function beginActivity(app: AppContext, vm: LiveMicrovm | undefined): Activity {
  if (!vm) return { touch() {}, end() {} };
  let open = true;
  const touch = (): void => {
    vm.activity += 1;
    vm.lastActivityMs = app.clock.now();
  };
  vm.inFlight += 1;
  touch();
  return {
    touch,
    end() {
      if (!open) return;
      open = false;
      vm.inFlight -= 1;
      if (app.settings.limits.inFlightIsActivity) touch();
    },
  };
}

/** The work itself goes on when the wait is given up: others may wait for it. */
function bounded(work: Promise<void>, ms: number, what: string, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => finish(() => reject(new Fault('aborted', { what })));
    const timer = clock.after(ms, () => finish(() => reject(new Fault('deadline_exceeded', { what, ms }))));
    const finish = (settle: () => void): void => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    work.then(
      () => finish(resolve),
      (error: unknown) => finish(() => reject(error)),
    );
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
