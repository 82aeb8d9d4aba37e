// Every few seconds: do rows and host have the same MicroVMs in the same states?
import type { AppContext } from '../app/context.ts';
import { type Differences, reconcile } from '../app/reconcile.ts';
import type { Task } from './task.ts';

const pauseMs = 5000;

export function reconciler(app: AppContext): Task {
  let nextAtMs = 0;
  let before: Differences = new Map();
  return {
    name: 'reconciler',
    async run() {
      if (app.draining || app.clock.elapsed() < nextAtMs) return 0;
      nextAtMs = app.clock.elapsed() + pauseMs;
      const { differences, corrected } = await reconcile(app, before);
      before = differences;
      return corrected;
    },
  };
}
