import { expect, test } from 'vitest';
import { pause } from '../lib/deadline.ts';
import { aloneOnHost } from './host-lock.ts';

test('one at a time, and a failure lets the next one go on', async () => {
  let [within, most] = [0, 0];
  const work = async (fails: boolean): Promise<void> => {
    within += 1;
    most = Math.max(most, within);
    await pause(5);
    within -= 1;
    if (fails) throw new Error('as told');
  };
  const all = Array.from({ length: 6 }, (_, i) => aloneOnHost(() => work(i % 2 === 0)));
  const results = await Promise.allSettled(all);
  expect(results.map(({ status }) => status).sort()).toEqual([
    ...Array(3).fill('fulfilled'),
    ...Array(3).fill('rejected'),
  ]);
  expect(most).toBe(1);
});
