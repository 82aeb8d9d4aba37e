// The short form of tests/long/sleep-cycles.test.ts.
import { expect, test } from 'vitest';
import { sleepManyTimes } from '../support/sleep-cycles.ts';

const mib = 2 ** 20;

test('eight sleeps keep memory and file', async () => {
  const { sleeps, verified } = await sleepManyTimes(8, 16);
  expect(verified).toBe(1);
  // Neither compresses: a sleep that took less would have lost something.
  for (const { memoryBytes, diskBytes } of sleeps) expect(Math.min(memoryBytes, diskBytes)).toBeGreaterThan(16 * mib);
});
