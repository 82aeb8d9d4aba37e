// Turns, deadlines and cancellation of those who wait.
import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { WaitingLine } from './waiting-line.ts';

const late = () => new Fault('capacity_exhausted', { what: 'Full.' });

test('first come, first served; nobody left means false', async () => {
  const line = new WaitingLine<string>(new ManualClock());
  const [a, b] = [line.wait(1000, late), line.wait(1000, late)];
  expect([line.give('one'), line.give('two'), line.give('three')]).toEqual([true, true, false]);
  expect(await Promise.all([a, b])).toEqual(['one', 'two']);
});

test('who waited too long or was cancelled loses the place to the next', async () => {
  const clock = new ManualClock();
  const line = new WaitingLine<string>(clock);
  const cancel = new AbortController();
  const early = expect(line.wait(10, late)).rejects.toMatchObject({ code: 'capacity_exhausted' });
  const cancelled = expect(line.wait(1000, late, cancel.signal)).rejects.toMatchObject({ code: 'aborted' });
  const third = line.wait(1000, late);
  await clock.advance(10);
  cancel.abort();
  await Promise.all([early, cancelled]);
  expect(line.length).toBe(1);
  line.give('for the third');
  expect(await third).toBe('for the third');
});

test('closing rejects all', async () => {
  const line = new WaitingLine<string>(new ManualClock());
  const all = Promise.allSettled([line.wait(1000, late), line.wait(1000, late)]);
  line.close(new Fault('aborted', { what: 'It' }));
  expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(line.length).toBe(0);
});
