// Rows and host compared while the server runs, in both directions. They differ for a moment whenever something changes, so only what has been so at two
// looks in a row, with a row that nobody has changed in between, is corrected.
import type { NodeMicrovm } from '../contract/node-api.ts';
import { findMicrovm } from '../store/microvms.ts';
import { changeState } from './change-state.ts';
import type { AppContext } from './context.ts';
import { converge } from './convergence.ts';
import { correction } from './correction.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import { onHost } from './recovery.ts';

/** What differed at the last look: by MicroVM, what exactly. */
export type Differences = Map<string, string>;

/** One look. Corrects what differs as it did at the look before; resolves with what differs now, and how many it has corrected. */
export async function reconcile(
  app: AppContext,
  before: Differences,
): Promise<{ differences: Differences; corrected: number }> {
  const differences: Differences = new Map();
  let corrected = 0;
  const seen = async (microvmId: string, difference: string, correct: () => Promise<void>): Promise<void> => {
    if (before.get(microvmId) !== difference) return void differences.set(microvmId, difference);
    app.log.warn('microvm.reconciled', { microvmId, difference });
    await correct();
    corrected += 1;
  };
  const hosted = new Map(app.node.list().map((one) => [one.microvmId, one]));
  for (const vm of app.index.all()) {
    const host = hosted.get(vm.row.microvmId);
    const { state, generation } = vm.row;
    if (!vm.worker && differs(app, vm, host)) {
      const difference = `${state} of generation ${generation}, on the host ${host?.state ?? 'nothing'}`;
      await seen(vm.row.microvmId, difference, () => correctUnchanged(app, vm, generation));
    }
  }
  for (const [microvmId, { state }] of hosted) {
    if (state === 'recovering' || app.index.get(microvmId)) continue;
    // One that no row knows is not ours to end: the inventory shows it.
    if ((await findMicrovm(app.db, microvmId))?.state !== 'TERMINATED') continue;
    await seen(microvmId, `TERMINATED, on the host ${state}`, () => app.node.terminate(microvmId));
  }
  return { differences, corrected };
}

function differs(app: AppContext, vm: LiveMicrovm, host: NodeMicrovm | undefined): boolean {
  if (vm.isRecovering || vm.row.wish !== vm.row.state) return false;
  return correction(vm.row, { ...realityOf(app), host }) !== undefined;
}

async function correctUnchanged(app: AppContext, vm: LiveMicrovm, generation: number): Promise<void> {
  let expected = generation;
  for (let step = 0; step < 2; step++) {
    const row = await changeState(app, vm, (now) =>
      now.generation === expected
        ? correction(now, { ...realityOf(app), host: onHost(app, now.microvmId) })
        : undefined,
    );
    if (!row) break;
    expected = row.generation;
  }
  void converge(app, vm);
}

const realityOf = (app: AppContext) => ({
  why: undefined,
  nowMs: app.clock.steady(),
  lostVms: app.settings.lostVms,
});
