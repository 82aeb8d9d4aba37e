// A MicroVM that a caller wants to change: its live entry, or the error that says why there is none.
import { conflict, requireMicrovm } from './caller-checks.ts';
import type { AppContext } from './context.ts';
import type { LiveMicrovm } from './microvm-index.ts';
import type { Caller } from './settings.ts';

/** Rejects with `not_found`, or with `conflict` when it has ended or is about to. */
export async function requireLive(
  app: AppContext,
  caller: Caller,
  microvmId: string,
  doing: string,
): Promise<LiveMicrovm> {
  const row = await requireMicrovm(app, caller, microvmId);
  const vm = app.index.get(microvmId);
  const state = (vm?.row ?? row).state;
  if (!vm || state === 'TERMINATING' || state === 'TERMINATED') throw conflict(vm?.row ?? row, doing);
  return vm;
}
