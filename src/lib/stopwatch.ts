// Times the stages of one operation, so that every answer can say where its milliseconds went.

export interface Stopwatch {
  /** Ends the current stage under this name; laps of one name add up. */
  lap(stage: string): void;
  /** Stage name → milliseconds with one decimal, in order. */
  stages(): Record<string, number>;
}

export function startStopwatch(): Stopwatch {
  const stages: Record<string, number> = {};
  let last = performance.now();
  return {
    lap(stage) {
      const now = performance.now();
      stages[stage] = Math.round(((stages[stage] ?? 0) + now - last) * 10) / 10;
      last = now;
    },
    stages: () => ({ ...stages }),
  };
}
