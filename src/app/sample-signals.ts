// Looks at what the guests take of their host, where that decides about their sleep.
import { within } from '../lib/deadline.ts';
import { describe } from '../lib/errors.ts';
import type { AppContext } from './context.ts';
import type { LiveMicrovm } from './microvm-index.ts';

/** Often enough that a burst stands out from the keep-alives around it. */
const longestPauseMs = 5000;
const deadlineMs = 2000;

/** Two looks at least within its idle time. */
const pauseOf = (maxIdleSeconds: number): number => Math.min(longestPauseMs, (maxIdleSeconds * 1000) / 2);

/** How far apart the looks at this MicroVM are; undefined while nothing depends on them. */
function pauseMs(app: AppContext, { row, signs }: LiveMicrovm): number | undefined {
  const { requests, lease, cpuPercent, outboundBytes } = app.settings.limits.idleSignals;
  if (cpuPercent === undefined && outboundBytes === undefined) return undefined;
  if (row.state !== 'RUNNING' || row.wish !== 'RUNNING' || row.maxIdleSeconds === null) return undefined;
  const held = (requests && signs.inFlight > 0) || (lease && (row.leaseUntilMs ?? 0) > app.clock.steady());
  return held ? undefined : pauseOf(row.maxIdleSeconds);
}

/** Begins the looks that are due; returns how many. A look that fails, or takes too long, has seen nothing. */
export function sampleSignals(app: AppContext): number {
  const nowMs = app.clock.elapsed();
  let due = 0;
  for (const vm of app.index.all()) {
    const pause = pauseMs(app, vm);
    if (pause === undefined || nowMs - vm.sampled.lookedAtMs < pause) continue;
    vm.sampled.lookedAtMs = nowMs;
    void look(app, vm, pause);
    due += 1;
  }
  return due;
}

/** Never rejects. An answer that comes after the waking time it was asked in changes nothing. */
async function look(app: AppContext, vm: LiveMicrovm, pause: number): Promise<void> {
  const { sampled } = vm;
  const { microvmId } = vm.row;
  try {
    const statistics = await within(deadlineMs, `Looking at ${microvmId}`, app.node.statistics(microvmId));
    sampled.blind = false;
    if (statistics) sampled.add(statistics, app.clock.elapsed(), pause, app.settings.limits.idleSignals);
  } catch (error) {
    if (!sampled.blind && vm.sampled === sampled && vm.row.state === 'RUNNING') {
      app.log.warn('microvm.signals_not_seen', { microvmId, error: describe(error) });
    }
    sampled.blind = true;
  }
}
