// Turns: how many at once, who is next, and that nobody can keep others waiting for ever.
import { expect, test } from 'vitest';
import { ManualClock } from '../../lib/manual-clock.ts';
import { type Rank, Turnstile } from './turnstile.ts';

/** Starts works that end when told, and notes the order in which they begin. */
function scene(parallel: number) {
  const clock = new ManualClock();
  const turns = new Turnstile(parallel, clock);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const start = (name: string, rank: Rank = 'launch', account = 'a'): Promise<void> =>
    turns.run(rank, account, () => {
      begun.push(name);
      return new Promise((resolve) => ends.set(name, resolve));
    });
  const end = async (name: string): Promise<void> => {
    ends.get(name)?.();
    await clock.advance(0);
  };
  /** Ends whatever is under way, one by one, until nothing is left. */
  const drain = async (): Promise<void> => {
    for (let i = 0; i < begun.length; i++) await end(begun[i] ?? '');
  };
  return { clock, turns, begun, start, end, drain };
}

test('where nobody waits the work begins in the same turn of the event loop', () => {
  const { start, begun, turns } = scene(1);
  void start('one');
  expect(begun).toEqual(['one']);
  expect(turns.waiting).toBe(0);
});

test('no more than so many at once; a failure gives its turn on', async () => {
  const { start, begun, drain, turns } = scene(2);
  for (const name of ['1', '2', '3', '4', '5']) void start(name);
  expect(begun).toEqual(['1', '2']);
  expect(turns.waiting).toBe(3);
  await drain();
  expect(begun).toHaveLength(5);
  await expect(turns.run('launch', 'a', () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await turns.run('launch', 'a', async () => 'still works')).toBe('still works');
});

test('wakes before launches before builds', async () => {
  const { start, begun, drain } = scene(1);
  void start('first');
  void start('build', 'build');
  void start('launch', 'launch');
  void start('wake', 'wake');
  await drain();
  expect(begun).toEqual(['first', 'wake', 'launch', 'build']);
});

test('the burst of one account costs another one turn at most', async () => {
  const { start, begun, drain } = scene(2);
  for (let i = 0; i < 100; i++) void start(`burst-${i}`);
  void start('single', 'launch', 'b');
  await drain();
  expect(begun).toHaveLength(101);
  expect(begun.indexOf('single')).toBe(2);
});

test('accounts that all burst take turns', async () => {
  const { start, begun, drain } = scene(1);
  for (const account of ['a', 'b', 'c']) for (let i = 0; i < 3; i++) void start(`${account}${i}`, 'launch', account);
  await drain();
  expect(new Set(begun.slice(1, 4).map((name) => name[0]))).toEqual(new Set(['a', 'b', 'c']));
  expect(begun).toHaveLength(9);
});

test('a stream of wakes does not starve a build', async () => {
  const { start, begun, end } = scene(1);
  void start('w0', 'wake');
  void start('build', 'build', 'b');
  for (let i = 0; i < 8; i++) {
    void start(`w${i + 1}`, 'wake');
    await end(begun.at(-1) ?? '');
  }
  expect(begun.indexOf('build')).toBeGreaterThan(0);
  expect(begun.indexOf('build')).toBeLessThanOrEqual(4);
});

test('a guest that is slow to start keeps its turn for ten seconds only', async () => {
  const { start, begun, clock } = scene(1);
  void start('slow');
  void start('next', 'launch', 'b');
  await clock.advance(9_999);
  expect(begun).toEqual(['slow']);
  await clock.advance(1);
  expect(begun).toEqual(['slow', 'next']);
});

test('who waited too long is told how long the line is', async () => {
  const { start, clock, begun } = scene(1);
  // Each keeps its turn for ten seconds: three have had theirs when the patience of the others ends.
  const ends = ['1', '2', '3', '4', '5'].map((name) => start(name, 'wake').catch((error: Error) => error.message));
  await clock.advance(30_000);
  expect(begun).toEqual(['1', '2', '3']);
  expect(await ends[3]).toBe(
    'The wake waited 30 s for its turn: this host starts 1 at the same time, and 2 wait for that. ' +
      'Try again when there is less to start, or raise --parallel-launches.',
  );
  expect(await ends[4]).toContain('and 1 wait for that');
});

test('who gave up, or finds the host closing, leaves its place', async () => {
  const { start, turns } = scene(1);
  void start('one');
  const cancel = new AbortController();
  const given = expect(turns.run('wake', 'a', async () => {}, cancel.signal)).rejects.toMatchObject({
    code: 'aborted',
  });
  expect(turns.waiting).toBe(1);
  cancel.abort();
  await given;
  const closed = expect(start('closed')).rejects.toMatchObject({ code: 'aborted' });
  turns.close();
  await closed;
  expect(turns.waiting).toBe(0);
});
