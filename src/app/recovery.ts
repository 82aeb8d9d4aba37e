// After a start: rows and host are brought together, each MicroVM by its own worker, while the ports are open already. A crash during recovery only
// means that it is done again.
import type { NodeMicrovm } from '../contract/node-api.ts';
import { listLiveMicrovms, raiseGeneration } from '../store/microvms.ts';
import { changeState, takeRow } from './change-state.ts';
import type { AppContext } from './context.ts';
import { correction } from './correction.ts';
import { addEndpoint, show } from './endpoints.ts';
import type { LiveMicrovm } from './microvm-index.ts';

/** Fills the index from the store. What became of each MicroVM is found out afterwards, by `recover`. */
export async function readMicrovms(app: AppContext): Promise<void> {
  for (const row of await listLiveMicrovms(app.db)) addEndpoint(app, row).isRecovering = true;
}

export const onHost = (app: AppContext, microvmId: string): NodeMicrovm | undefined => app.node.find(microvmId);

/** The first act of a MicroVM that an earlier server left: waits until its host knows what became of it, and corrects the row. */
export async function recover(app: AppContext, vm: LiveMicrovm): Promise<void> {
  const { microvmId } = vm.row;
  const why = await app.node.settled(microvmId);
  const host = onHost(app, microvmId);
  // Rows that were restored from a backup may be older than what the host has seen.
  if (host && host.generation > vm.row.generation) {
    const row = await raiseGeneration(app.db, microvmId, host.generation);
    if (row) takeRow(app, vm, row);
  }
  await correct(app, vm, why ?? vm.loss);
  vm.isRecovering = false;
  show(app, vm);
}

/** The act for a MicroVM whose VM is gone and whose snapshot is left: by policy. Without effect where the act that it interrupted has recorded it. */
export async function recordLoss(app: AppContext, vm: LiveMicrovm): Promise<void> {
  const { state } = vm.row;
  if (state === 'RUNNING' || state === 'SUSPENDING') await correct(app, vm, vm.loss);
  vm.loss = undefined;
}

/** Writes what the host has, by policy where the row's VM is gone. */
async function correct(app: AppContext, vm: LiveMicrovm, why: string | undefined): Promise<void> {
  const host = onHost(app, vm.row.microvmId);
  const { lostVms } = app.settings;
  // Two steps at most.
  for (let step = 0; step < 2; step++) {
    await changeState(app, vm, (row) => correction(row, { host, why, nowMs: app.clock.steady(), lostVms }));
  }
}
