// Takes up changes of network connectors that a restart has interrupted.
import type { AppContext } from '../app/context.ts';
import type { Task } from './task.ts';

export const connectors = (app: AppContext): Task => ({
  name: 'connectors',
  async run() {
    if (!app.connectors.unfinished) return 0;
    void app.connectors.wake();
    return 1;
  },
});
