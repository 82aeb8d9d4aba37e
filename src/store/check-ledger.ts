// Whether the chain over closed usage intervals holds, and whether the intervals of each MicroVM fit its life.
import type SqliteDatabase from 'better-sqlite3';
import type { MicrovmState, UsageKind } from '../contract/states.ts';
import { type ClosedInterval, chained, emptyLedger, type LedgerHead } from './ledger.ts';

type Sqlite = SqliteDatabase.Database;

/** Enough to see what happened; the first one matters. */
const maxProblems = 20;
/** Earlier versions wrote the time of the launch and the start of its interval one after the other. */
const launchToleranceMs = 1_000;

const columns = `microvm_id as "microvmId", kind, account, image_arn as "imageArn", memory_mib as "memoryMib",
  start_ms as "startMs", end_ms as "endMs", seq, checksum`;

/** The head as it is written down, and what does not fit: the first interval that breaks the chain, and a head that is not its end. */
export function checkChain(sqlite: Sqlite): { head: LedgerHead; problems: string[] } {
  const head = sqlite.prepare<[], LedgerHead>('select count, checksum from usage_ledger').get();
  if (!head) return { head: emptyLedger, problems: ['The row with the head of the usage ledger is gone.'] };
  let reached = emptyLedger;
  const closed = sqlite.prepare<[], ClosedInterval & LedgerHead & { seq: number | null }>(
    `select ${columns} from usage_intervals where end_ms is not null or seq is not null order by seq nulls first`,
  );
  for (const { seq, checksum, ...interval } of closed.iterate()) {
    const next = chained(reached, interval);
    const of = `of MicroVM ${interval.microvmId} (from ${time(interval.startMs)})`;
    if (seq === null) return { head, problems: [`A closed usage interval ${of} has no place in the ledger.`] };
    if (seq !== next.count)
      return { head, problems: [`Usage interval ${next.count} is gone: the next one is ${seq} ${of}.`] };
    if (checksum !== next.checksum) {
      return { head, problems: [`Usage interval ${seq} ${of} is not what was written.`] };
    }
    reached = next;
  }
  if (head.count === reached.count && head.checksum === reached.checksum) return { head, problems: [] };
  const what = `The usage ledger ends at interval ${reached.count}; its head says ${head.count} (${head.checksum}).`;
  return { head, problems: [what] };
}

/** What does not fit a head that was noted earlier. Where the chain holds and goes through it, nothing before it was changed, not even by whoever can recompute a chain. */
export function checkNoted(sqlite: Sqlite, noted: LedgerHead): string[] {
  if (noted.count === 0)
    return noted.checksum === emptyLedger.checksum ? [] : ['No ledger begins with the noted head.'];
  const found = sqlite
    .prepare<[number], { checksum: string | null }>('select checksum from usage_intervals where seq = ?')
    .get(noted.count);
  if (!found) return [`The usage ledger does not reach the noted head, which is of interval ${noted.count}.`];
  if (found.checksum === noted.checksum) return [];
  return [`At interval ${noted.count} the usage ledger is another one than the noted head says.`];
}

interface Interval {
  kind: UsageKind;
  startMs: number;
  endMs: number | null;
}

interface Life {
  microvmId: string;
  state: MicrovmState;
  launchedAtMs: number | null;
}

/** What is in use in each state; undefined: whatever it was before. */
const openIn: Record<MicrovmState, readonly (UsageKind | 'nothing')[]> = {
  PENDING: ['nothing', 'suspended'],
  RUNNING: ['running'],
  SUSPENDING: ['running'],
  SUSPENDED: ['suspended'],
  TERMINATING: ['nothing'],
  TERMINATED: ['nothing'],
};

/** Intervals that leave a gap, overlap, or do not fit the state and the launch of their MicroVM. */
export function checkTiles(sqlite: Sqlite): string[] {
  const problems: string[] = [];
  const lives = sqlite.prepare<[], Life>(
    'select microvm_id as "microvmId", state, launched_at_ms as "launchedAtMs" from microvms',
  );
  // An interval of no length comes before the one that begins at the same time.
  const intervals = sqlite.prepare<[string], Interval>(
    `select kind, start_ms as "startMs", end_ms as "endMs" from usage_intervals
     where microvm_id = ? order by start_ms, end_ms is null, end_ms, seq`,
  );
  for (const life of lives.iterate()) {
    const problem = tileProblem(life, intervals.all(life.microvmId));
    if (problem === undefined) continue;
    problems.push(`The usage intervals of MicroVM ${life.microvmId} do not tile its life: ${problem}.`);
    if (problems.length === maxProblems) break;
  }
  return problems;
}

function tileProblem({ state, launchedAtMs }: Life, intervals: Interval[]): string | undefined {
  for (const [index, { startMs }] of intervals.entries()) {
    const before = intervals[index - 1];
    if (!before) continue;
    if (before.endMs === null) return `one is open since ${time(before.startMs)}, and another begins ${time(startMs)}`;
    if (before.endMs < startMs) return `there is a gap from ${time(before.endMs)} to ${time(startMs)}`;
    if (before.endMs > startMs) return `two overlap at ${time(startMs)}`;
  }
  const [first, last] = [intervals[0], intervals.at(-1)];
  const open = last?.endMs === null ? last.kind : 'nothing';
  if (!openIn[state].includes(open)) return `it is ${state}, and the open one is ${open}`;
  if (launchedAtMs === null)
    return first ? `it was never launched, and used something at ${time(first.startMs)}` : undefined;
  if (!first) return `it was launched at ${time(launchedAtMs)}, and there is none`;
  if (Math.abs(first.startMs - launchedAtMs) <= launchToleranceMs) return undefined;
  return `it was launched at ${time(launchedAtMs)}, and the first begins at ${time(first.startMs)}`;
}

/** Milliseconds too; a damaged number is no reason to fail. */
function time(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString();
}
