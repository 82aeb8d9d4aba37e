// Applies the life cycle policies every few minutes, and looks what lies around without an owner.
import type { AppContext } from '../app/context.ts';
import type { Task } from './task.ts';

/** Every file is looked at: not more often than that. */
const periodMs = 5 * 60_000;
/** After a start others have more urgent work. */
const firstMs = 60_000;

export const garbage = (app: AppContext): Task => {
  let nextMs = app.clock.elapsed() + firstMs;
  return {
    name: 'garbage',
    async run() {
      if (app.clock.elapsed() < nextMs) return 0;
      nextMs = app.clock.elapsed() + periodMs;
      void app.tidying.wake();
      return 1;
    },
  };
};
