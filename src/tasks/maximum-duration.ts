// Ends MicroVMs at their maximum duration. Suspended time counts.
import type { AppContext } from '../app/context.ts';
import { requestEnd } from '../app/end-microvm.ts';
import type { Task } from './task.ts';

export const maximumDuration = (app: AppContext): Task => ({
  name: 'maximum-duration',
  async run() {
    const nowMs = app.clock.steady();
    const over = app.index
      .all()
      .filter(({ row }) => row.wish !== 'TERMINATED' && nowMs - row.startedAtMs >= row.maximumDurationSeconds * 1000);
    for (const vm of over) {
      await requestEnd(app, vm, `Reached its maximum duration of ${vm.row.maximumDurationSeconds} s.`);
    }
    return over.length;
  },
});
