// When is a started application ready to be snapshotted? When `/ready` says 200; without that hook, when it listens on 8080, or after a grace period.
import type { BuildReasonCode, HookPlan } from '../contract/node-api.ts';
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
  { port, readySeconds: seconds }: HookPlan,
  readiness: Readiness,
  onLog: (text: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  if (seconds !== undefined && port !== undefined) {
    return pollHook(guest, { name: 'ready', port, seconds }, readiness, onLog, signal);
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

export interface BuildHook {
  name: 'ready' | 'validate';
  port: number;
  /** From the first attempt to the last answer. */
  seconds: number;
}

const reasons: Record<BuildHook['name'], BuildReasonCode> = {
  ready: 'READY_HOOK_FAILED',
  validate: 'VALIDATE_HOOK_FAILED',
};

/** Resolves at 200. 503 and a port that gives no HTTP answer mean "later"; anything else fails at once. Reference d.3, texts of c.8. */
export async function pollHook(
  guest: Pick<Guest, 'hook'>,
  hook: BuildHook,
  readiness: Pick<Readiness, 'intervalMs'>,
  onLog: (text: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const title = hook.name === 'ready' ? 'Ready' : 'Validate';
  const failed = (what: string): Fault => new Fault('build_failed', { reason: reasons[hook.name], what });
  const end = performance.now() + hook.seconds * 1000;
  let said = '';
  for (;;) {
    const left = Math.ceil(end - performance.now());
    if (left <= 0) throw failed(`${title} hook invocation timed out after ${isoDuration(hook.seconds)}`);
    const answer = await ask(guest, hook, left);
    const outcome = typeof answer === 'number' ? `HTTP ${answer}` : answer;
    // An application may be asked for an hour: what it says again is not news.
    if (outcome !== said) onLog(`--- the ${hook.name} hook on port ${hook.port}: ${outcome}\n`);
    said = outcome;
    if (answer === 200) return;
    if (typeof answer === 'number' && answer !== 503) {
      throw failed(`${title} hook check failed: ${kindOf(answer)} (HTTP ${answer})`);
    }
    await pause(readiness.intervalMs, signal);
  }
}

/** The status, or why there was none. */
async function ask(guest: Pick<Guest, 'hook'>, hook: BuildHook, timeoutMs: number): Promise<number | string> {
  try {
    return await guest.hook(hook.port, hook.name, undefined, timeoutMs);
  } catch (error) {
    if (isFault(error, 'deadline_exceeded') || (isFault(error, 'guest_failed') && error.facts.guestCode !== undefined))
      return error.message;
    throw error;
  }
}

function kindOf(status: number): string {
  if (status >= 500) return 'server error';
  return status >= 400 ? 'client error' : 'an answer other than 200';
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
