import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { ManualClock } from '../lib/manual-clock.ts';
import { Signs } from './signs.ts';

test('a request that arrives while a sleep is decided is seen, or sees it', async () => {
  const signs = new Signs();
  const shared = new SharedArrayBuffer(12);
  const cells = new Int32Array(shared);
  const rounds = 600;
  const workerData = { signs: signs.buffer, shared, rounds };
  const racer = new Worker(new URL('./testing/racer.ts', import.meta.url), { workerData });
  // How much longer this side waits: whoever was first gives the other one a head start, so that they meet.
  let head = 0;
  const outcomes = { lost: 0, calledOff: 0, waited: 0, both: 0 };
  try {
    const ended = once(racer, 'exit');
    await once(racer, 'online');
    for (let round = 1; round <= rounds; round++) {
      signs.wake(round, 0);
      const seen = signs.activity;
      Atomics.store(cells, 0, round);
      for (let i = 0; i < head; i++) Atomics.load(cells, 0);
      signs.stop();
      const asleep = signs.activity === seen;
      expect(Atomics.wait(cells, 1, round - 1, 5_000)).not.toBe('timed-out');
      const wentAhead = Atomics.load(cells, 2) === 1;
      head = asleep ? Math.min(head * 1.1 + 10, 1e6) : head / 1.1;
      outcomes[asleep ? (wentAhead ? 'lost' : 'waited') : wentAhead ? 'calledOff' : 'both'] += 1;
    }
    await ended;
  } finally {
    await racer.terminate();
  }
  expect(outcomes.lost).toBe(0);
  expect(outcomes.calledOff).toBeGreaterThan(0);
  expect(outcomes.waited).toBeGreaterThan(0);
});

test('several threads count into the same signs, and what a dead one had under way is forgotten', () => {
  const clock = new ManualClock();
  const signs = new Signs();
  const view = new Signs(signs.buffer);
  const [a, b] = [0, 63].map((index) => view.begin({ index, clock, endIsActivity: false }));
  view.begin({ index: 63, clock, endIsActivity: false });
  expect([signs.inFlight, signs.activity]).toEqual([3, 2 + 1]);
  a?.end();
  a?.end();
  expect(signs.inFlight).toBe(2);
  signs.forget(63);
  expect(signs.inFlight).toBe(0);
  expect(b).toBeDefined();
});

test('a request is activity when it begins and when bytes come in, and its end where that counts', async () => {
  const clock = new ManualClock();
  const signs = new Signs();
  for (const endIsActivity of [true, false]) {
    const request = signs.begin({ index: 0, clock, endIsActivity });
    const begunMs = clock.elapsed();
    expect(signs.lastActivityMs).toBe(begunMs);
    await clock.advance(1000);
    request.touch();
    expect(signs.lastActivityMs).toBe(begunMs + 1000);
    await clock.advance(1000);
    const before = signs.activity;
    request.end();
    expect(signs.lastActivityMs).toBe(begunMs + (endIsActivity ? 2000 : 1000));
    expect(signs.activity !== before).toBe(endIsActivity);
  }
});

test('a sleep that is called off leaves the waking time as it was; a leave ends it', () => {
  const signs = new Signs();
  expect([signs.runs, signs.wakingTime]).toEqual([false, 0]);
  signs.wake(7, 1);
  signs.stop();
  expect([signs.runs, signs.wakingTime]).toEqual([false, 7]);
  signs.goOn(2);
  expect([signs.runs, signs.wakingTime, signs.lastActivityMs]).toEqual([true, 7, 2]);
  signs.leave();
  expect([signs.runs, signs.wakingTime]).toEqual([false, 0]);
});
