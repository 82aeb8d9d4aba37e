import { expect, test } from 'vitest';
import { forEachOf } from './parallel.ts';

test('so many at a time, each once, in order', async () => {
  const begun: number[] = [];
  let [now, most] = [0, 0];
  await forEachOf(3, [1, 2, 3, 4, 5, 6, 7], async (item) => {
    begun.push(item);
    most = Math.max(most, ++now);
    await new Promise((resolve) => setImmediate(resolve));
    now--;
  });
  expect(begun).toEqual([1, 2, 3, 4, 5, 6, 7]);
  expect(most).toBe(3);
});

test('the first failure is told when what was begun has ended, and nothing begins after it', async () => {
  const ended: number[] = [];
  const work = forEachOf(2, [1, 2, 3, 4], async (item) => {
    if (item === 1) throw new Error('first');
    await new Promise((resolve) => setImmediate(resolve));
    ended.push(item);
  });
  await expect(work).rejects.toThrow('first');
  expect(ended).toEqual([2]);
});
