// Times the stages of one operation, so that every answer can say where its milliseconds went.

export interface Stopwatch {
  /** Ends the current stage under this name; laps of one name add up. */
  lap(stage: string): void;
  /** Ends the current stage without a name: its milliseconds are somebody else's to report. */
  split(): number;
  /** Stage name → milliseconds with one decimal, in order. */
  stages(): Record<string, number>;
}

export function startStopwatch(): Stopwatch {
  const stages: Record<string, number> = {};
  let last = performance.now();
  const split = (): number => {
    const now = performance.now();
    const passed = now - last;
    last = now;
    return Math.round(passed * 10) / 10;
  };
  return {
    split,
    lap(stage) {
      stages[stage] = Math.round(((stages[stage] ?? 0) + split()) * 10) / 10;
    },
    stages: () => ({ ...stages }),
  };
}
