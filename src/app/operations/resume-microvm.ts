// ResumeMicrovm: writes the wish and answers. Repeating it is harmless.
import type { ResumeMicrovmRequest, ResumeMicrovmResponse } from '../../contract/generated/operations.ts';
import { conflict } from '../caller-checks.ts';
import { changeState } from '../change-state.ts';
import type { AppContext } from '../context.ts';
import { converge } from '../convergence.ts';
import { requireLive } from '../require-live.ts';
import type { Caller } from '../settings.ts';

export async function resumeMicrovm(
  app: AppContext,
  caller: Caller,
  input: ResumeMicrovmRequest,
): Promise<ResumeMicrovmResponse> {
  const vm = await requireLive(app, caller, input.microvmIdentifier, 'resumed');
  await changeState(app, vm, (row) => {
    switch (row.state) {
      case 'SUSPENDED':
        // PENDING shows that a resume was asked for, as on the live service; a wake under way goes on as it is.
        return row.wish === 'RUNNING' ? undefined : { state: 'PENDING', wish: 'RUNNING' };
      case 'RUNNING':
      case 'PENDING':
      case 'SUSPENDING':
        return row.wish === 'RUNNING' ? undefined : { wish: 'RUNNING' };
      case 'TERMINATING':
      case 'TERMINATED':
        throw conflict(row, 'resumed');
    }
  });
  void converge(app, vm);
  return {};
}
