// Time as a dependency: the system's clock in production, a hand-driven one in tests (lib/manual-clock.ts).
// A wall clock is set now and then, by an hour even, while the server runs. So there are three readings, and each has its use (docs/decisions/0018).

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Wall clock, milliseconds since the epoch, with all its steps: what others read and compare with clocks of their own (tokens, signatures, certificates). */
  now(): number;
  /** Wall clock without its steps: what it showed when the process started, and what has passed since. For the records of a MicroVM's life and their ages. */
  steady(): number;
  /** Whole milliseconds that only grow, the same for all threads of a process and for nobody else: pauses, rates, caches, ages that no record has. */
  elapsed(): number;
  /** Calls `fn` once after `delayMs`; does not keep the process alive. */
  after(delayMs: number, fn: () => void): Timer;
}

/** What `steady` showed, or will show, at a moment of `elapsed`. */
export const steadyAt = (clock: Clock, elapsedMs: number): number => clock.steady() - clock.elapsed() + elapsedMs;

const elapsed = (): number => {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6);
};

const startedMs = Date.now() - elapsed();

export const systemClock: Clock = {
  now: () => Date.now(),
  steady: () => startedMs + elapsed(),
  elapsed,
  after(delayMs, fn) {
    const handle = setTimeout(fn, Math.min(delayMs, 2 ** 31 - 1));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};
