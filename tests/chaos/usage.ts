// Do the usage intervals of each MicroVM cover its life, without gap and without overlap?
import type { IntervalRow, Rows, VmRow } from './database.ts';

/** From the order to end until the end, with a restart of the server in between. */
const longestEndMs = 60_000;
const kindOf: Record<string, string> = { RUNNING: 'running', SUSPENDED: 'suspended' };

/** `sleeps`: how often each MicroVM was surely asleep. `clockSteps`: the server's clock was set while it ran. Sentences about what does not fit. */
export function judgeUsage(
  { vms, intervals }: Rows,
  sleeps: ReadonlyMap<string, number>,
  clockSteps: boolean,
): string[] {
  const byVm = Map.groupBy(intervals, ({ microvmId }) => microvmId);
  const known = new Set(vms.map(({ microvmId }) => microvmId));
  const foreign = [...byVm.keys()].filter((id) => !known.has(id));
  return [
    ...foreign.map((id) => `usage is recorded for ${id}, which no row knows`),
    ...vms.flatMap((vm) => {
      const wrong = judgeLife(vm, byVm.get(vm.microvmId) ?? [], sleeps.get(vm.microvmId) ?? 0, clockSteps);
      return wrong.map((what) => `usage of ${vm.microvmId}: ${what}`);
    }),
  ];
}

function judgeLife(vm: VmRow, intervals: readonly IntervalRow[], sleeps: number, clockSteps: boolean): string[] {
  const wrong: string[] = [];
  const [first] = intervals;
  const last = intervals.at(-1);
  if (vm.launchedAtMs === null) return first ? ['it was never launched, and yet it used something'] : [];
  if (!first || !last) return ['it has run, and no interval says so'];
  if (first.kind !== 'running') wrong.push(`it begins as ${first.kind}`);
  // Row and interval are written with one another; only their clocks may be read one after the other.
  if (!clockSteps && Math.abs(first.startMs - vm.launchedAtMs) > 50) wrong.push('it does not begin with the launch');
  for (const [i, { kind, startMs, endMs }] of intervals.entries()) {
    const next = intervals[i + 1];
    if (!next) continue;
    if (endMs !== next.startMs) wrong.push(`one ends at ${endMs} and the next begins at ${next.startMs}`);
    if (kind === next.kind) wrong.push(`two that are both ${kind} follow one another`);
    if (endMs !== null && endMs < startMs) wrong.push('one ends before it begins');
  }
  const open = kindOf[vm.state];
  if (open !== undefined && (last.endMs !== null || last.kind !== open)) {
    wrong.push(`it is ${vm.state}, but the last interval is ${last.kind}${last.endMs === null ? '' : ' and closed'}`);
  }
  if (vm.state === 'TERMINATED' && last.endMs === null) wrong.push('it has ended, but an interval is still open');
  if (vm.state === 'TERMINATED' && last.endMs !== null && vm.terminatedAtMs !== null) {
    // It uses nothing any more while it is being ended.
    const endingMs = vm.terminatedAtMs - last.endMs;
    if (!clockSteps && (endingMs < -50 || endingMs > longestEndMs))
      wrong.push(`it ended ${endingMs} ms after its usage`);
  }
  const asleep = intervals.filter(({ kind }) => kind === 'suspended').length;
  if (asleep < sleeps) wrong.push(`it slept ${sleeps} times, but ${asleep} intervals say so`);
  return wrong;
}
