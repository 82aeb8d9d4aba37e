// SuspendMicrovm: writes the wish and answers. Repeating it is harmless.
import type { SuspendMicrovmRequest, SuspendMicrovmResponse } from '../../contract/generated/operations.ts';
import { conflict } from '../caller-checks.ts';
import { changeState } from '../change-state.ts';
import type { AppContext } from '../context.ts';
import { converge } from '../convergence.ts';
import { requireLive } from '../require-live.ts';
import type { Caller } from '../settings.ts';

export async function suspendMicrovm(
  app: AppContext,
  caller: Caller,
  input: SuspendMicrovmRequest,
): Promise<SuspendMicrovmResponse> {
  const vm = await requireLive(app, caller, input.microvmIdentifier, 'suspended');
  await changeState(app, vm, (row) => {
    const asked = { wish: 'SUSPENDED', suspendCause: 'requested' } as const;
    switch (row.state) {
      case 'RUNNING':
        return { ...asked, state: 'SUSPENDING' };
      case 'SUSPENDING':
        return asked;
      case 'SUSPENDED':
        // A wake may be under way; it is followed by this suspend.
        return row.wish === 'SUSPENDED' && row.suspendCause === 'requested' ? undefined : asked;
      case 'PENDING':
        if (row.launchedAtMs === null) throw conflict(row, 'suspended');
        return asked;
      case 'TERMINATING':
      case 'TERMINATED':
        throw conflict(row, 'suspended');
    }
  });
  void converge(app, vm);
  return {};
}
