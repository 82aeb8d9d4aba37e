// TerminateMicrovm: from any state; repeating it is harmless.
import type { TerminateMicrovmRequest, TerminateMicrovmResponse } from '../../contract/generated/operations.ts';
import { requireMicrovm } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { requestEnd } from '../end-microvm.ts';
import type { Caller } from '../settings.ts';

export async function terminateMicrovm(
  app: AppContext,
  caller: Caller,
  input: TerminateMicrovmRequest,
): Promise<TerminateMicrovmResponse> {
  const row = await requireMicrovm(app, caller, input.microvmIdentifier);
  const vm = app.index.get(row.microvmId);
  if (vm) await requestEnd(app, vm, null);
  return {};
}
