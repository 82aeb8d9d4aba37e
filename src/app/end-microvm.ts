// How a MicroVM ends: because somebody wishes it, or because the host says that it is gone.
import type { EndReason } from '../contract/node-api.ts';
import { changeState, ended } from './change-state.ts';
import type { AppContext } from './context.ts';
import { converge } from './convergence.ts';
import { leave } from './endpoints.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import { onHost } from './recovery.ts';

/** Wishes a MicroVM ended, whatever it does now. Resolves when the wish is written; without effect on one that ended. */
export async function requestEnd(app: AppContext, vm: LiveMicrovm, stateReason: string | null): Promise<void> {
  await changeState(app, vm, ({ state }) => {
    if (state === 'TERMINATED' || state === 'TERMINATING') return undefined;
    return { state: 'TERMINATING', wish: 'TERMINATED', stateReason };
  });
  void converge(app, vm);
}

/** The host says that it is gone. Whoever is connected to it hears so at once. */
export async function hearEnd(app: AppContext, vm: LiveMicrovm, { what }: EndReason): Promise<void> {
  leave(app, vm);
  if (onHost(app, vm.row.microvmId)?.state === 'asleep') {
    // Not beside an act that may be under way: it must neither take the snapshot that is left for the one it was to make, nor be undone.
    vm.loss = what;
    return converge(app, vm);
  }
  if (vm.isRecovering) await converge(app, vm);
  const row = await changeState(app, vm, ({ state }) =>
    state === 'TERMINATED' || state === 'TERMINATING' ? undefined : ended(what, app.clock.steady()),
  );
  if (row) await app.node.terminate(row.microvmId);
}
