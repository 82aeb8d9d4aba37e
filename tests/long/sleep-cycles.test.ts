// A hundred sleeps of one MicroVM: memory and disk stay what they were, and sleeping does not take more and more.
import { expect, test } from 'vitest';
import { type Sleep, sleepManyTimes } from '../support/sleep-cycles.ts';

const mib = 2 ** 20;
/** Layers that are not merged yet, each with tables of its own. */
const layersBytes = 6 * 512 * 1024;
/** The disk keeps whole clusters of 64 KiB, of which the guest may have written 4. */
const clusterPages = 16;
/** Pages that the guest's kernel has used and freed are not given back. */
const memoryGrowthMib = 16;

test('a hundred sleeps keep 64 MiB of memory and a file of 64 MiB, and the last takes no more than the tenth', async () => {
  const { sleeps, verified } = await sleepManyTimes(100, 64);
  expect(verified).toBe(10);
  const [tenth, last] = [sleeps[0], sleeps[9]] as [Sleep, Sleep];
  const grown = (name: keyof Sleep): number => last[name] - tenth[name];
  const text = (sleep: Sleep): string =>
    Object.entries(sleep)
      .map(([name, bytes]) => `${name} ${(bytes / mib).toFixed(1)} MiB`)
      .join(', ');
  console.log(`after 10 sleeps: ${text(tenth)}\nafter 100: ${text(last)}`);
  expect(grown('diskBytes')).toBeLessThan(clusterPages * grown('writtenBytes') + layersBytes);
  expect(grown('memoryBytes')).toBeLessThan(memoryGrowthMib * mib);
}, 2_400_000);
