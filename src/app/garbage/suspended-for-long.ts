// --keep-suspended: MicroVMs that slept for longer than the operator keeps them end, whatever their own policy allows.
import { bytesWith } from '../../contract/inventory.ts';
import type { AppContext } from '../context.ts';
import { requestEnd } from '../end-microvm.ts';
import type { LiveMicrovm } from '../microvm-index.ts';
import { durationText } from './duration-text.ts';
import type { Survey } from './find-orphans.ts';
import type { Planned } from './piece.ts';

export function suspendedForLong(app: AppContext, { things, orphans }: Survey): Planned[] {
  const { keepSuspendedMs } = app.settings.lifecycle;
  if (keepSuspendedMs === undefined) return [];
  const nowMs = app.clock.steady();
  const apart = new Set(orphans.map(({ id }) => id));
  const isOver = (vm: LiveMicrovm): boolean => nowMs - (asleepSinceMs(app, vm) ?? nowMs) >= keepSuspendedMs;
  const stateReason = `Suspended for longer than ${durationText(keepSuspendedMs)} (--keep-suspended).`;
  return app.index
    .all()
    .filter(isOver)
    .map((vm): Planned => {
      const { microvmId } = vm.row;
      const own = things.find((thing) => thing.kind === 'microvm' && thing.microvmId === microvmId);
      return {
        policy: 'keep-suspended',
        id: `microvm:${microvmId}`,
        where: microvmId,
        bytes: own ? bytesWith(own, things, apart) : 0,
        why: stateReason,
        cleaning: 'It is terminated.',
        collect: async () => {
          // It may have woken since.
          if (!isOver(vm)) return 'It does not sleep any more.';
          await requestEnd(app, vm, stateReason);
          return undefined;
        },
      };
    });
}

/** Undefined while it does not sleep. While no server ran, nobody could wake it: that time does not count. */
function asleepSinceMs({ startedAtMs }: AppContext, { row }: LiveMicrovm): number | undefined {
  const { state, wish, suspendedAtMs } = row;
  if (state !== 'SUSPENDED' || wish !== 'SUSPENDED' || suspendedAtMs === null) return undefined;
  return row.suspendCause === 'shutdown' ? Math.max(suspendedAtMs, startedAtMs) : suspendedAtMs;
}
