import { expect, test } from 'vitest';
import { pause } from '../../lib/deadline.ts';
import { checkClockRate } from './clock-rate.ts';

const clock = (rate: number) => async (): Promise<number> => Math.round(performance.now() * rate);

test('a clock that keeps time passes, also one whose answers come late at first', async () => {
  await checkClockRate(clock(1), [40]);
  let late = 60;
  const slow = async (): Promise<number> => {
    const shown = performance.now();
    await pause(late);
    late = 1;
    return shown;
  };
  await checkClockRate(slow, [40, 200]);
});

test.each([9, 1.5, 0.5])('one that runs %d times as fast does not', async (rate) => {
  await expect(checkClockRate(clock(rate), [40, 80])).rejects.toMatchObject({ code: 'guest_failed' });
});
