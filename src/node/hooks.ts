// Lifecycle hooks of a MicroVM, as reference d has them: POST over the guest's loopback, 200 is success, no retry.
import type { HookPlan } from '../contract/node-api.ts';
import { Fault, isFault } from '../lib/errors.ts';
import type { Guest } from '../vmm/driver.ts';

export type RuntimeHook = 'run' | 'resume' | 'suspend' | 'terminate';

/** Calls the hook when the image enables it. Rejects with `hook_failed`, worded as `stateReason` is (reference d.5). */
export async function callHook(guest: Guest, plan: HookPlan, hook: RuntimeHook, body?: string): Promise<boolean> {
  const seconds = plan[`${hook}Seconds`];
  if (seconds === undefined || plan.port === undefined) return false;
  const title = `${hook[0]?.toUpperCase()}${hook.slice(1)} lifecycle hook`;
  const status = await guest.hook(plan.port, hook, body, seconds * 1000).catch((cause: unknown) => {
    const what = isFault(cause, 'deadline_exceeded')
      ? `${title} timed out after ${seconds} seconds. Raise ${hook}TimeoutInSeconds or answer sooner.`
      : `${title} could not be called on port ${plan.port}: ${cause instanceof Error ? cause.message : cause}`;
    throw new Fault('hook_failed', { what, hook }, cause);
  });
  if (status !== 200) {
    throw new Fault('hook_failed', {
      what: `${title} returned HTTP status ${status}. It must return 200.`,
      hook,
      status,
    });
  }
  return true;
}
