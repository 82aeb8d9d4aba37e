// GetMicrovm. One that has ended stays readable.
import type { GetMicrovmRequest, GetMicrovmResponse } from '../../contract/generated/operations.ts';
import { microvmAnswer } from '../answers.ts';
import { requireMicrovm } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';

export async function getMicrovm(
  app: AppContext,
  caller: Caller,
  input: GetMicrovmRequest,
): Promise<GetMicrovmResponse> {
  return microvmAnswer(app, await requireMicrovm(app, caller, input.microvmIdentifier));
}
