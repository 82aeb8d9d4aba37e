// Looks for signs of use that nobody tells us of, before `idle-suspend` decides.
import type { AppContext } from '../app/context.ts';
import { sampleSignals } from '../app/sample-signals.ts';
import type { Task } from './task.ts';

export const idleSignals = (app: AppContext): Task => ({
  name: 'idle-signals',
  run: async () => (app.draining ? 0 : sampleSignals(app)),
});
