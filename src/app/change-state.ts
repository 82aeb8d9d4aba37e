// The one way a MicroVM's row changes after its creation: store first, then the index that the data plane reads.
import { describe, Fault, isFault } from '../lib/errors.ts';
import { changeMicrovm, findMicrovm, type MicrovmChange } from '../store/microvms.ts';
import type { MicrovmRow } from '../store/tables.ts';
import type { AppContext } from './context.ts';
import { forget, leave, show } from './endpoints.ts';
import type { LiveMicrovm } from './microvm-index.ts';

/**
 * Writes what `decide` wants for the row as it is now; asks again when someone else was faster. Resolves with the new
 * row, or undefined when `decide` wanted nothing.
 */
export async function changeState(
  app: AppContext,
  vm: LiveMicrovm,
  decide: (row: MicrovmRow) => MicrovmChange | undefined,
): Promise<MicrovmRow | undefined> {
  for (;;) {
    const before = vm.row;
    const change = decide(before);
    if (!change) return undefined;
    const nowMs = app.clock.steady();
    const row = await changeMicrovm(app.db, before, change, nowMs);
    if (row) {
      takeRow(app, vm, row);
      return row;
    }
    const fresh = await findMicrovm(app.db, before.microvmId);
    if (!fresh || fresh.generation === before.generation) {
      throw new Fault('internal', {
        what: `MicroVM ${before.microvmId} cannot go from ${before.state} to ${change.state ?? before.state}.`,
      });
    }
    takeRow(app, vm, fresh);
  }
}

/** A row that was written. Older ones than the one that is known change nothing. */
export function takeRow(app: AppContext, vm: LiveMicrovm, row: MicrovmRow): void {
  const before = vm.row;
  if (row.generation <= before.generation) return;
  vm.row = row;
  if (row.state === before.state) return;
  app.log.info('microvm.state', { microvmId: row.microvmId, from: before.state, to: row.state, why: row.stateReason });
  show(app, vm);
  if (row.state !== 'TERMINATED') return;
  const forgotten = app.index.retire(vm);
  leave(app, vm);
  app.closeEndpoint?.(row.microvmId);
  app.stageMetrics.forget(row.microvmId);
  if (forgotten) forget(app, forgotten);
}

/** The change that ends a MicroVM. */
export const ended = (stateReason: string, nowMs: number): MicrovmChange => ({
  state: 'TERMINATED',
  wish: 'TERMINATED',
  stateReason,
  terminatedAtMs: nowMs,
});

/** What `stateReason` says about an error; what is not a Fault is for the log alone. */
export const reasonOf = (error: unknown): string =>
  isFault(error) ? describe(error) : 'An internal error of the host. Its log says more.';
