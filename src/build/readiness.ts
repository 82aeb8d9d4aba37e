// When is a started application ready to be snapshotted? When `/ready` says 200; without that hook, when it listens on 8080, or after a grace period.
import type { HookPlan } from '../contract/node-api.ts';
import { pause } from '../lib/deadline.ts';
import { Fault, isFault } from '../lib/errors.ts';
import type { Guest } from '../vmm/driver.ts';

export interface Readiness {
  /** Without `/ready`: how long an application may take to listen before it is snapshotted as it is. */
  graceMs: number;
  /** Between two looks. */
  intervalMs: number;
}

const defaultPort = 8080;

export async function untilReady(
  guest: Guest,
  hooks: HookPlan,
  readiness: Readiness,
  onLog: (text: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  if (hooks.readySeconds !== undefined) {
    return pollHook(
      guest,
      { name: 'ready', port: hooks.port ?? defaultPort, seconds: hooks.readySeconds },
      readiness,
      signal,
    );
  }
  const end = performance.now() + readiness.graceMs;
  while (!(await guest.listening(defaultPort))) {
    if (performance.now() > end) {
      onLog(
        `--- nothing listens on port ${defaultPort} after ${readiness.graceMs} ms: the snapshot is taken as it is\n`,
      );
      return;
    }
    await pause(readiness.intervalMs, signal);
  }
}

/** Polls a build hook: 200 is success, 503 and a port that does not answer yet mean "later", anything else fails. Reference d.3. */
export async function pollHook(
  guest: Guest,
  hook: { name: 'ready' | 'validate'; port: number; seconds: number },
  readiness: Readiness,
  signal?: AbortSignal,
): Promise<void> {
  const title = hook.name === 'ready' ? 'Ready' : 'Validate';
  const reason = hook.name === 'ready' ? 'READY_HOOK_FAILED' : 'VALIDATE_HOOK_FAILED';
  const end = performance.now() + hook.seconds * 1000;
  const timedOut = (): Fault =>
    new Fault('build_failed', {
      reason,
      what: `${title} hook invocation timed out after ${isoDuration(hook.seconds)}`,
    });
  for (;;) {
    const left = Math.ceil(end - performance.now());
    if (left <= 0) throw timedOut();
    const status = await ask(guest, hook, left);
    if (status === 200) return;
    if (status !== 503) {
      const kind = status < 500 ? 'client' : 'server';
      throw new Fault('build_failed', { reason, what: `${title} hook check failed: ${kind} error (HTTP ${status})` });
    }
    await pause(readiness.intervalMs, signal);
  }
}

async function ask(guest: Guest, hook: { name: string; port: number }, timeoutMs: number): Promise<number> {
  try {
    return await guest.hook(hook.port, hook.name, undefined, timeoutMs);
  } catch (error) {
    // Nothing listens yet, or one attempt took too long: both are "later".
    if (isFault(error, 'deadline_exceeded') || (isFault(error, 'guest_failed') && error.facts.guestCode !== undefined))
      return 503;
    throw error;
  }
}

/** `PT5M`, `PT30S`, `PT1M30S`: the form AWS has in its reasons. */
export function isoDuration(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 3600), 'H'],
    [Math.floor((seconds % 3600) / 60), 'M'],
    [seconds % 60, 'S'],
  ] as const;
  return `PT${parts.map(([amount, unit]) => (amount ? `${amount}${unit}` : '')).join('') || '0S'}`;
}
