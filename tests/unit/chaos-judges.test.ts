// The judges of the chaos runs find what they are there for, and a seed decides everything.
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import type { IntervalRow, Rows } from '../chaos/database.ts';
import type { GuestState } from '../chaos/guest.ts';
import { judgeLeaks } from '../chaos/leaks.ts';
import { acknowledged, asked, judgeGuest, newEntry, seen, struck } from '../chaos/ledger.ts';
import type { Machine } from '../chaos/machine.ts';
import { patternAfter } from '../chaos/pattern.ts';
import { actKinds, makePlan, type PlanOptions } from '../chaos/plan.ts';
import { type HostTicks, judgeTicks } from '../chaos/ticks.ts';
import { judgeUsage } from '../chaos/usage.ts';

const options: PlanOptions = { seed: 7, kills: 60, vms: 5, target: 'server', vmBuildEvery: 4 };

test('a plan depends on its seed alone, and its kills come at each kind of act', () => {
  const plan = makePlan(options);
  expect(makePlan(options)).toEqual(plan);
  expect(makePlan({ ...options, seed: 8 })).not.toEqual(plan);
  // A longer run begins like a shorter one.
  expect(makePlan({ ...options, kills: 90 }).slice(0, 60)).toEqual(plan);
  for (const kind of actKinds) expect(plan.filter(({ acts }) => acts[0]?.kind === kind)).toHaveLength(10);
  expect(plan.filter(({ buildIsolation }) => buildIsolation === 'vm')).toHaveLength(2);
  for (const { acts, asleep, empty, busy } of plan) {
    const places = acts.flatMap(({ place }) => place ?? []);
    expect(new Set(places).size).toBe(places.length);
    for (const place of busy) expect([...places, ...asleep, ...empty]).not.toContain(place);
    for (const { kind, place } of acts) {
      if (kind === 'launch') expect(empty).toContain(place);
      if (kind === 'resume') expect(asleep).toContain(place);
      if (kind === 'suspend') expect([...asleep, ...empty]).not.toContain(place);
    }
  }
});

const guest = (marks: number[], file = marks, pattern = patternAfter(marks)): GuestState => ({
  ...{ marks, file, pattern, gaps: [], writtenBytes: 0, monotonicMs: 0, wallMs: 0, ticks: 0 },
});

function withMarks(answered: number[], doubtful: number[] = []) {
  const entry = newEntry('');
  for (const mark of [...answered, ...doubtful]) entry.asked.add(mark);
  for (const mark of answered) entry.answered.add(mark);
  return entry;
}

test('the pattern is what the application makes', () => {
  // The first of 32,768 digests, and the place of mark 1.
  const bytes = Buffer.alloc(1 << 20);
  for (let i = 0; i < 32_768; i++)
    createHash('sha256')
      .update(String(i))
      .digest()
      .copy(bytes, i * 32);
  createHash('sha256').update('mark 1').digest().copy(bytes, 4099);
  expect(patternAfter([1])).toBe(createHash('sha256').update(bytes).digest('hex'));
});

test('a guest must have every mark that was answered, may have what is in doubt, and nothing else', () => {
  expect(judgeGuest(withMarks([1, 2], [3]), guest([1, 2]))).toEqual([]);
  expect(judgeGuest(withMarks([1, 2], [3]), guest([1, 2, 3]))).toEqual([]);
  expect(judgeGuest(withMarks([1, 2]), guest([1]))).toEqual([
    'memory has lost the acknowledged marks 2',
    'the file has lost the acknowledged marks 2',
  ]);
  expect(judgeGuest(withMarks([1]), guest([1, 9]))).toEqual(['it has the marks 9, which nobody sent']);
  expect(judgeGuest(withMarks([1]), guest([1, 1]))).toEqual(['a mark was delivered twice']);
  expect(judgeGuest(withMarks([1], [2]), guest([1, 2], [1]))).toEqual([expect.stringContaining('differ')]);
  expect(judgeGuest(withMarks([1]), guest([1], [1], patternAfter([])))).toEqual([expect.stringContaining('damaged')]);
});

test('what went back to its last sleep keeps what it had then', () => {
  const entry = withMarks([1]);
  acknowledged(entry, 'RUNNING');
  asked(entry, 'SUSPENDED');
  seen(entry, 'SUSPENDED');
  seen(entry, 'RUNNING');
  entry.asked.add(2);
  entry.answered.add(2);
  struck(entry, 'restore', false);
  expect(entry.mayBe).toEqual(['SUSPENDED', 'RUNNING']);
  expect(judgeGuest(entry, guest([1]))).toEqual([]);
  expect(judgeGuest(entry, guest([]))).toHaveLength(2);
});

test('who is struck ends, unless it slept before and may go back to that; sleepers notice nothing', () => {
  const entry = newEntry('');
  seen(entry, 'RUNNING');
  struck(entry, 'restore', false);
  expect(entry.mayBe).toEqual(['TERMINATED']);
  seen(entry, 'SUSPENDED');
  struck(entry, 'end', false);
  expect(entry.mayBe).toEqual(['SUSPENDED']);
});

test('an answer that is read after the VMM was killed does not say where its MicroVM comes to rest, but for its end', () => {
  const entry = newEntry('');
  acknowledged(entry, 'RUNNING');
  asked(entry, 'SUSPENDED');
  struck(entry, 'end', true);
  acknowledged(entry, 'SUSPENDED');
  expect(entry.mayBe).toContain('TERMINATED');
  acknowledged(entry, 'TERMINATED');
  expect(entry.mayBe).toEqual(['TERMINATED']);
});

const calm: HostTicks = { worst: () => 100, stop: async () => {} };

test('a gap in the ticks and a clock that stood still are found, and a busy host excuses them', () => {
  const entry = { ...newEntry(''), seen: { askedMs: 9_990, answeredMs: 10_000, guestMs: 500 } };
  const at = { askedMs: 15_000, answeredMs: 15_010 };
  const gap = { atMs: 1_000, monotonicMs: 1_400, wallMs: 1_400 };
  expect(judgeTicks(entry, { ...guest([]), monotonicMs: 5_500, gaps: [gap] }, at, calm)).toEqual([
    'its ticks have a gap of 1400 ms (1000 ms allowed)',
  ]);
  expect(judgeTicks(entry, { ...guest([]), monotonicMs: 3_500 }, at, calm)).toEqual([
    'it stood still for 2000 ms (1000 ms allowed)',
  ]);
  expect(judgeTicks(entry, { ...guest([]), monotonicMs: 8_500 }, at, calm)).toEqual([
    'its clock ran for 8000 ms within 5020 ms',
  ]);
  const earlier = { ...gap, atMs: 100 };
  expect(judgeTicks(entry, { ...guest([]), monotonicMs: 5_500, gaps: [earlier] }, at, calm)).toEqual([]);
  const busy = { ...calm, worst: () => 600 };
  expect(judgeTicks(entry, { ...guest([]), monotonicMs: 3_500, gaps: [gap] }, at, busy)).toEqual([]);
});

const vm = { microvmId: 'vm', state: 'SUSPENDED', launchedAtMs: 10, terminatedAtMs: null };
const usageOf = (intervals: Omit<IntervalRow, 'microvmId'>[], sleeps = 0, row: Partial<typeof vm> = {}): string[] => {
  const rows: Rows = {
    vms: [{ ...vm, ...row }],
    builds: [],
    intervals: intervals.map((interval) => ({ microvmId: 'vm', ...interval })),
  };
  return judgeUsage(rows, new Map([['vm', sleeps]]), false);
};

test('usage must tile a life from its launch on', () => {
  const running = { kind: 'running', startMs: 10, endMs: 20 };
  const asleep = { kind: 'suspended', startMs: 20, endMs: null };
  expect(usageOf([running, asleep], 1)).toEqual([]);
  expect(usageOf([running, asleep], 2)).toHaveLength(1);
  expect(usageOf([running, { ...asleep, startMs: 21 }])).toEqual([expect.stringContaining('next begins at 21')]);
  expect(usageOf([running, { ...asleep, startMs: 19 }])).toEqual([expect.stringContaining('next begins at 19')]);
  expect(
    usageOf([
      { ...running, startMs: 500, endMs: 600 },
      { ...asleep, startMs: 600 },
    ]),
  ).toHaveLength(1);
  expect(usageOf([running])).toEqual([expect.stringContaining('last interval is running and closed')]);
  expect(usageOf([])).toHaveLength(1);
  expect(usageOf([running, asleep], 1, { state: 'TERMINATED' })).toEqual([expect.stringContaining('still open')]);
});

const nothing: Machine = {
  ...{ processes: [], namespaces: [], links: [], tables: [], routes: [], cgroups: [], run: [], mounts: [] },
};
const noRows: Rows = { vms: [], builds: [], intervals: [] };

test('what belongs to nobody is a leak', async () => {
  const judge = (machine: Partial<Machine>): Promise<string[] | undefined> =>
    judgeLeaks({ ...nothing, ...machine }, noRows, '/nowhere');
  const process = { pid: 5, command: 'qemu', vm: 'aaaaaaaaaaaa', isVmm: true, namespace: 'net:[1]' };
  expect(await judge({})).toEqual([]);
  expect(await judge({ processes: [process] })).toHaveLength(1);
  expect(await judge({ links: ['wb12345-3'] })).toHaveLength(1);
  expect(await judge({ tables: ['a', 'b'] })).toHaveLength(1);
  expect(await judge({ cgroups: [{ path: '/group', processes: 0 }] })).toHaveLength(1);
  expect(await judge({ run: ['aaaaaaaaaaaa'] })).toHaveLength(1);
  expect(await judge({ mounts: ['tmpfs'] })).toHaveLength(1);
  const slots = ['1', '2', '3', '4'].map((id) => ({ name: `wb-12345-${id}`, id }));
  expect(await judge({ namespaces: slots.slice(1) })).toEqual([]);
  expect(await judge({ namespaces: slots })).toHaveLength(1);
  const pending = { ...noRows, vms: [{ ...vm, state: 'PENDING' }] };
  expect(await judgeLeaks(nothing, pending, '/nowhere')).toBeUndefined();
  const missing = { ...noRows, vms: [vm] };
  expect(await judgeLeaks(nothing, missing, '/nowhere')).toEqual(['vms/vm is missing']);
});
