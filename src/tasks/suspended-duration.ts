// Ends MicroVMs that have been suspended for longer than their idle policy allows.
import type { AppContext } from '../app/context.ts';
import { requestEnd } from '../app/end-microvm.ts';
import type { LiveMicrovm } from '../app/microvm-index.ts';
import type { Task } from './task.ts';

/** When it may be suspended no longer; undefined when there is no such time. */
function endsAtMs({ row }: LiveMicrovm, startedAtMs: number): number | undefined {
  const { state, wish, suspendedAtMs, suspendedSeconds, maxIdleSeconds } = row;
  if (state !== 'SUSPENDED' || wish !== 'SUSPENDED') return undefined;
  if (suspendedAtMs === null || suspendedSeconds === null || maxIdleSeconds === null) return undefined;
  if (row.suspendCause !== 'shutdown') return suspendedAtMs + suspendedSeconds * 1000;
  // Nobody asked for this sleep and nobody could wake it while the server was down: its idle time counts from the start.
  return Math.max(suspendedAtMs, startedAtMs) + (maxIdleSeconds + suspendedSeconds) * 1000;
}

/** `startedAtMs` is when this server started. */
export const suspendedDuration = (app: AppContext, startedAtMs: number): Task => ({
  name: 'suspended-duration',
  async run() {
    const nowMs = app.clock.steady();
    const over = app.index.all().filter((vm) => (endsAtMs(vm, startedAtMs) ?? Infinity) <= nowMs);
    for (const vm of over) {
      await requestEnd(app, vm, `Suspended for ${vm.row.suspendedSeconds} s (suspendedDurationSeconds).`);
    }
    return over.length;
  },
});
