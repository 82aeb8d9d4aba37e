// A hundred sleeps of one MicroVM: memory and disk stay what they were, and sleeping does not take more and more.
import { expect, test } from 'vitest';
import { sleepManyTimes } from '../support/sleep-cycles.ts';

const mib = 2 ** 20;
/** What the application, its kernel and its file system change from the tenth sleep to the hundredth. */
const changedMib = 16;

test('a hundred sleeps keep 64 MiB of memory and a file of 64 MiB, and the last takes no more than the tenth', async () => {
  const { asleepBytes, verified } = await sleepManyTimes(100, 64);
  expect(verified).toBe(10);
  const settled = Math.max(...asleepBytes.slice(9, 20));
  const last = Math.max(...asleepBytes.slice(-10));
  console.log(`asleep after 10 sleeps ${Math.round(settled / mib)} MiB, after 100 ${Math.round(last / mib)} MiB`);
  expect(last - settled).toBeLessThan(changedMib * mib);
});
