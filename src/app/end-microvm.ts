// How a MicroVM ends: because somebody wishes it, or because the host says that it is gone.
import { changeState, ended } from './change-state.ts';
import type { AppContext } from './context.ts';
import { converge } from './convergence.ts';
import { leave } from './endpoints.ts';
import type { LiveMicrovm } from './microvm-index.ts';

/** Wishes a MicroVM ended, whatever it does now. Resolves when the wish is written; without effect on one that ended. */
export async function requestEnd(app: AppContext, vm: LiveMicrovm, stateReason: string | null): Promise<void> {
  await changeState(app, vm, ({ state }) => {
    if (state === 'TERMINATED' || state === 'TERMINATING') return undefined;
    return { state: 'TERMINATING', wish: 'TERMINATED', stateReason };
  });
  void converge(app, vm);
}

/** The host says that it is gone. Whoever is connected to it hears so at once. */
export async function recordEnd(app: AppContext, vm: LiveMicrovm, stateReason: string): Promise<void> {
  leave(app, vm);
  const row = await changeState(app, vm, ({ state }) =>
    state === 'TERMINATED' || state === 'TERMINATING' ? undefined : ended(stateReason, app.clock.steady()),
  );
  if (row) await app.node.terminate(row.microvmId);
}
