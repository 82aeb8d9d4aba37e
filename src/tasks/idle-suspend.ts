// Lets MicroVMs fall asleep that have been quiet for as long as their idle policy says.
import type { AppContext } from '../app/context.ts';
import { isIdle, suspendIdle } from '../app/idle.ts';
import type { Task } from './task.ts';

export const idleSuspend = (app: AppContext): Task => ({
  name: 'idle-suspend',
  async run() {
    const idle = app.draining ? [] : app.index.all().filter((vm) => isIdle(app, vm));
    for (const vm of idle) await suspendIdle(app, vm);
    return idle.length;
  },
});
