// Takes up again what is not in its wished state and has no act under way, after its pause.
import type { AppContext } from '../app/context.ts';
import { converge, nextAct } from '../app/convergence.ts';
import type { Task } from './task.ts';

export const unsettled = (app: AppContext): Task => ({
  name: 'unsettled',
  async run() {
    const nowMs = app.clock.elapsed();
    const open = app.index.all().filter((vm) => !vm.worker && vm.retryAtMs <= nowMs && nextAct(vm) !== undefined);
    for (const vm of open) void converge(app, vm);
    return open.length;
  },
});
