// Lifecycle hooks of a MicroVM, as reference d has them: POST over the guest's loopback, 200 is success, an answer is never asked for again.
import type { HookPlan } from '../contract/node-api.ts';
import { pause } from '../lib/deadline.ts';
import { describe, Fault, isFault } from '../lib/errors.ts';
import type { Guest, Machine } from '../vmm/driver.ts';
import { unlessItEnds } from '../vmm/unless-it-ends.ts';

export type RuntimeHook = 'run' | 'resume' | 'suspend' | 'terminate';

/** A server in the guest that is just being started again refuses connections for a moment. */
const refusalPatienceMs = 2000;
const refusalPauseMs = 20;

export interface HookCall {
  hook: RuntimeHook;
  /** JSON; only `/run` has one. */
  body?: string | undefined;
  signal?: AbortSignal;
}

/**
 * Calls the hook when the image enables it; false when not. Rejects with `hook_failed`, worded as `stateReason` is (reference d.5), also when the VM
 * or its application ends meanwhile; with `aborted` on `signal`.
 */
export async function callHook(
  machine: Pick<Machine, 'guest' | 'ended'>,
  plan: HookPlan,
  { hook, body, signal }: HookCall,
): Promise<boolean> {
  const { port, [`${hook}Seconds` as const]: seconds } = plan;
  if (seconds === undefined || port === undefined) return false;
  const title = `${hook[0]?.toUpperCase()}${hook.slice(1)} lifecycle hook`;
  const failed = (what: string, cause?: unknown): Fault => new Fault('hook_failed', { what, hook }, cause);
  const post = (): Promise<number> => postSoon(machine.guest, port, hook, body, seconds * 1000, signal);
  const status = await unlessItEnds(machine, ({ what }) => failed(what), post, signal).catch((cause: unknown) => {
    if (isFault(cause, 'hook_failed', 'aborted')) throw cause;
    throw isFault(cause, 'deadline_exceeded')
      ? failed(`${title} timed out after ${seconds} seconds. Raise ${hook}TimeoutInSeconds or answer sooner.`, cause)
      : failed(`${title} could not be called on port ${port}: ${describe(cause)}`, cause);
  });
  if (status !== 200) throw failed(`${title} returned HTTP status ${status}. It must return 200.`);
  return true;
}

/** Resolves with the status of the first connection that stands. */
async function postSoon(
  guest: Guest,
  port: number,
  hook: RuntimeHook,
  body: string | undefined,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const start = performance.now();
  for (;;) {
    const spentMs = performance.now() - start;
    try {
      return await guest.hook(port, hook, body, Math.max(1, Math.ceil(timeoutMs - spentMs)));
    } catch (error) {
      const isRefused = isFault(error, 'guest_failed') && error.facts.guestCode === 'refused';
      if (!isRefused || spentMs + refusalPauseMs > Math.min(timeoutMs, refusalPatienceMs)) throw error;
      await pause(refusalPauseMs, signal);
    }
  }
}
