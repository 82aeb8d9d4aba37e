// The short form of tests/long/sleep-cycles.test.ts.
import { expect, test } from 'vitest';
import { sleepManyTimes } from '../support/sleep-cycles.ts';

test('eight sleeps keep memory and file', async () => {
  const { asleepBytes, verified } = await sleepManyTimes(8, 16);
  expect(verified).toBe(1);
  expect(Math.min(...asleepBytes)).toBeGreaterThan(2 * 16 * 2 ** 20);
});
