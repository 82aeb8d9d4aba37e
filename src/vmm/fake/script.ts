// How a fake application is told to misbehave: environment variables of its image.
//
//   FAKE_PORT=n            listens there; default 8080
//   FAKE_NEVER_LISTEN=1    listens nowhere
//   FAKE_<HOOK>_STATUS=n   answers that hook (READY, VALIDATE, RUN, RESUME, SUSPEND, TERMINATE) with this status
//   FAKE_<HOOK>_AFTER=n    answers the first n calls of that hook with 503
//   FAKE_<HOOK>_MS=n       takes so long for that hook
//   FAKE_EXIT_AFTER_MS=n   exits so long after it was started or restored, with FAKE_EXIT_CODE (default 1)
//   FAKE_SUSPEND_FAILS=n   the VMM fails the first n attempts to suspend; the VM runs on
//   FAKE_RESTORE_FAILS=1   the VMM fails to restore

type Environment = Readonly<Record<string, string>>;

export interface HookScript {
  status: number;
  unavailableCalls: number;
  delayMs: number;
}

export function hookScript(environment: Environment, name: string): HookScript {
  const prefix = `FAKE_${name.toUpperCase()}`;
  return {
    status: count(environment[`${prefix}_STATUS`]) ?? 200,
    unavailableCalls: count(environment[`${prefix}_AFTER`]) ?? 0,
    delayMs: count(environment[`${prefix}_MS`]) ?? 0,
  };
}

export interface AppScript {
  /** Undefined when it never listens. */
  port: number | undefined;
  exitAfterMs: number | undefined;
  exitCode: number;
  suspendFailures: number;
  restoreFails: boolean;
}

export function appScript(environment: Environment): AppScript {
  return {
    port: environment.FAKE_NEVER_LISTEN ? undefined : (count(environment.FAKE_PORT) ?? 8080),
    exitAfterMs: count(environment.FAKE_EXIT_AFTER_MS),
    exitCode: count(environment.FAKE_EXIT_CODE) ?? 1,
    suspendFailures: count(environment.FAKE_SUSPEND_FAILS) ?? 0,
    restoreFails: Boolean(environment.FAKE_RESTORE_FAILS),
  };
}

function count(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
}
