// After a start: rows and host are brought together. A crash during recovery only means that it is done again.
import type { NodeMicrovm } from '../contract/node-api.ts';
import { findMicrovm, listLiveMicrovms, type MicrovmChange } from '../store/microvms.ts';
import type { MicrovmRow } from '../store/tables.ts';
import { changeState, ended } from './change-state.ts';
import type { AppContext } from './context.ts';
import { converge } from './convergence.ts';
import { addEndpoint } from './endpoints.ts';
import { withSuspend } from './report.ts';

const lost = 'The host process restarted, and this MicroVM had no snapshot to continue from.';
const fellBack = 'The host process restarted; this MicroVM continues from its last snapshot.';

/** Fills the index from the store and corrects what the host knows better. */
export async function recoverMicrovms(app: AppContext): Promise<void> {
  const onHost = new Map(app.node.list().map((vm) => [vm.microvmId, vm.state]));
  for (const row of await listLiveMicrovms(app.db)) {
    const vm = addEndpoint(app, row);
    // Two steps at most: RUNNING becomes SUSPENDED by way of SUSPENDING.
    for (let step = 0; step < 2; step++) {
      await changeState(app, vm, (now) => correction(now, onHost.get(row.microvmId), app.clock.steady()));
    }
    onHost.delete(row.microvmId);
    void converge(app, vm);
  }
  for (const microvmId of onHost.keys()) await removeLeftover(app, microvmId);
}

/** An end that was interrupted leaves files behind. What no row knows is not ours to delete. */
async function removeLeftover(app: AppContext, microvmId: string): Promise<void> {
  if (!(await findMicrovm(app.db, microvmId))) return app.log.warn('microvm.unknown_on_host', { microvmId });
  try {
    await app.node.terminate(microvmId);
  } catch (error) {
    app.log.warn('microvm.leftover_not_removed', { microvmId, error: String(error) });
  }
}

/** What to write for a row when the host has its MicroVM in this state. */
function correction(
  row: MicrovmRow,
  actual: NodeMicrovm['state'] | undefined,
  nowMs: number,
): MicrovmChange | undefined {
  if (row.state === 'TERMINATING' || row.state === 'TERMINATED') return undefined;
  if (actual === undefined) return ended(lost, nowMs);
  if (actual === 'running') {
    if (row.state === 'RUNNING') return undefined;
    return { state: 'RUNNING', wish: 'RUNNING', suspendCause: null, launchedAtMs: row.launchedAtMs ?? nowMs };
  }
  if (row.state === 'SUSPENDED') return row.wish === 'RUNNING' ? { wish: 'SUSPENDED' } : undefined;
  const asleep = { wish: 'SUSPENDED', stateReason: fellBack, suspendCause: 'shutdown', suspendedAtMs: nowMs } as const;
  if (row.state === 'RUNNING') return { ...asleep, state: 'SUSPENDING' };
  const report = withSuspend(row, { cause: 'restart', at: new Date(nowMs).toISOString() });
  return { ...asleep, report, state: 'SUSPENDED', launchedAtMs: row.launchedAtMs ?? nowMs };
}
