// A background task: idempotent, without input, run again and again.

export interface Task {
  readonly name: string;
  /** Resolves with how many MicroVMs (or other things) it acted upon. Never waits for the acts themselves. */
  run(): Promise<number>;
}

export interface TaskStatus {
  name: string;
  runs: number;
  /** How many MicroVMs it has acted upon since the start. */
  acted: number;
  lastRunAtMs: number | undefined;
  lastError: string | undefined;
}
