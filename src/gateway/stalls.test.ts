import { expect, test } from 'vitest';
import { ManualClock } from '../lib/manual-clock.ts';
import { Stalls } from './stalls.ts';

class Pretended {
  progress = 0;
  expired = 0;
  expire(): void {
    this.expired += 1;
  }
}

test('what stands still ends after its time; what moves, or has ended, does not', async () => {
  const clock = new ManualClock();
  const stalls = new Stalls(4_000, clock);
  const [still, moving, over] = [new Pretended(), new Pretended(), new Pretended()];
  for (const one of [still, moving, over]) stalls.add(one);
  stalls.delete(over);
  for (let second = 1; second <= 12 && still.expired === 0; second++) {
    moving.progress += 1;
    await clock.advance(1_000);
    if (second < 4) expect(still.expired).toBe(0);
  }
  expect([still.expired, moving.expired, over.expired]).toEqual([1, 0, 0]);
});

test('the first byte after a long silence counts', async () => {
  const clock = new ManualClock();
  const stalls = new Stalls(4_000, clock);
  const one = new Pretended();
  stalls.add(one);
  await clock.advance(4_000);
  one.progress += 1;
  await clock.advance(3_000);
  expect(one.expired).toBe(0);
  await clock.advance(4_000);
  expect(one.expired).toBeGreaterThan(0);
});
