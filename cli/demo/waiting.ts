// Waiting for a state of the service: asks again and again, with a deadline and a way to stop.
import { pause } from '../../src/lib/deadline.ts';
import { Fault } from '../../src/lib/errors.ts';

export interface Patience {
  /** What is waited for, as the beginning of a sentence. */
  what: string;
  deadlineMs: number;
  intervalMs: number;
  signal: AbortSignal;
}

/** Resolves with the first defined answer. Rejects with `deadline_exceeded` or `aborted`. */
export async function untilAnswer<T>(patience: Patience, ask: () => Promise<T | undefined>): Promise<T> {
  const end = performance.now() + patience.deadlineMs;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() > end) {
      throw new Fault('deadline_exceeded', { what: patience.what, ms: patience.deadlineMs });
    }
    await pause(patience.intervalMs, patience.signal);
  }
}

/** Rejects with `internal` unless the expectation holds. */
export function expect(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Fault('internal', { what: `The demo expected something else: ${what}` });
}
