// Turns, deadlines and cancellation of those who wait.
import { expect, test } from 'vitest';
import { Fault } from './errors.ts';
import { ManualClock } from './manual-clock.ts';
import { WaitingLine } from './waiting-line.ts';

const late = () => new Fault('capacity_exhausted', { what: 'Full.' });

test('first come, first served; nobody left means false', async () => {
  const line = new WaitingLine<string>(new ManualClock(), 'The wait');
  const [a, b] = [line.wait(1000, late), line.wait(1000, late)];
  expect([line.give('one'), line.give('two'), line.give('three')]).toEqual([true, true, false]);
  expect(await Promise.all([a, b])).toEqual(['one', 'two']);
});

test('who waited too long or was cancelled loses the place to the next', async () => {
  const clock = new ManualClock();
  const line = new WaitingLine<string>(clock, 'The wait');
  const cancel = new AbortController();
  const early = expect(line.wait(10, late)).rejects.toMatchObject({ code: 'capacity_exhausted' });
  const cancelled = expect(line.wait(1000, late, { signal: cancel.signal })).rejects.toMatchObject({
    code: 'aborted',
    message: 'The wait was cancelled.',
  });
  const third = line.wait(1000, late);
  await clock.advance(10);
  cancel.abort();
  await Promise.all([early, cancelled]);
  expect(line.length).toBe(1);
  line.give('for the third');
  expect(await third).toBe('for the third');
});

test('closing rejects all', async () => {
  const line = new WaitingLine<string>(new ManualClock(), 'The wait');
  const all = Promise.allSettled([line.wait(1000, late), line.wait(1000, late)]);
  line.close(new Fault('aborted', { what: 'It' }));
  expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(line.length).toBe(0);
});

test('it tells who waits, since when and for what', async () => {
  const clock = new ManualClock();
  const sinceMs = clock.elapsed();
  const line = new WaitingLine<string, number>(clock, 'The wait');
  const one = line.wait(1000, late, { wanted: 3 });
  await clock.advance(5);
  const two = line.wait(1000, late, { wanted: 4 });
  expect(line.places).toMatchObject([
    { wanted: 3, sinceMs },
    { wanted: 4, sinceMs: sinceMs + 5 },
  ]);
  line.give('a');
  expect(line.places).toMatchObject([{ wanted: 4 }]);
  line.give('b');
  expect(await Promise.all([one, two])).toEqual(['a', 'b']);
});

test('who gave up before it began does not wait', async () => {
  const line = new WaitingLine<string>(new ManualClock(), 'The wait');
  await expect(line.wait(1000, late, { signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'aborted' });
  expect(line.length).toBe(0);
});
