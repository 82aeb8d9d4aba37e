// Runs all tasks one after the other, every tick, on an injected clock.
import type { App } from '../app/create-app.ts';
import type { Clock, Timer } from '../lib/clock.ts';
import { describe } from '../lib/errors.ts';
import { connectors } from './connectors.ts';
import { deletions } from './deletions.ts';
import { garbage } from './garbage.ts';
import { idleSignals } from './idle-signals.ts';
import { idleSuspend } from './idle-suspend.ts';
import { maximumDuration } from './maximum-duration.ts';
import { reconciler } from './reconciler.ts';
import { scrub } from './scrub.ts';
import { suspendedDuration } from './suspended-duration.ts';
import type { Task, TaskStatus } from './task.ts';
import { unsettled } from './unsettled.ts';

export interface Tasks {
  start(): void;
  /** Resolves when the run under way is over. */
  stop(): Promise<void>;
  /** Runs every task once. */
  runOnce(): Promise<void>;
  status(): TaskStatus[];
}

export interface TasksOptions {
  tickMs?: number;
  /** Of the server around the app. */
  more?: readonly Task[];
}

export function createTasks(app: App, clock: Clock, { tickMs = 250, more = [] }: TasksOptions = {}): Tasks {
  const { context } = app;
  const tasks = [
    maximumDuration(context),
    suspendedDuration(context, clock.steady()),
    idleSignals(context),
    idleSuspend(context),
    reconciler(context),
    unsettled(context),
    deletions(context),
    connectors(context),
    scrub(context),
    garbage(context),
    ...more,
  ].map((task) => ({ task, status: newStatus(task.name) }));
  let timer: Timer | undefined;
  let under: Promise<void> | undefined;
  let stopped = true;
  const runOnce = async (): Promise<void> => {
    for (const { task, status } of tasks) await runTask(task, status, clock);
  };
  const tick = (): void => {
    under = runOnce().finally(() => {
      under = undefined;
      if (!stopped) timer = clock.after(tickMs, tick);
    });
  };
  return {
    start() {
      stopped = false;
      timer = clock.after(tickMs, tick);
    },
    async stop() {
      stopped = true;
      timer?.cancel();
      await under;
    },
    runOnce,
    status: () => tasks.map(({ status }) => ({ ...status })),
  };
}

const newStatus = (name: string): TaskStatus => ({
  name,
  runs: 0,
  acted: 0,
  lastRunAtMs: undefined,
  lastError: undefined,
});

async function runTask(task: Task, status: TaskStatus, clock: Clock): Promise<void> {
  status.runs += 1;
  status.lastRunAtMs = clock.now();
  try {
    status.acted += await task.run();
    status.lastError = undefined;
  } catch (error) {
    status.lastError = describe(error);
  }
}
