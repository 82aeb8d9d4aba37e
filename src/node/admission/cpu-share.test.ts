// Shares of the processors by size.
import { expect, test } from 'vitest';
import { profiles } from '../../config/profiles.ts';
import { cpuShare } from './cpu-share.ts';

test('weight follows the baseline, the cap its peak, as AWS has it (reference c.5)', () => {
  const shares = Object.values(profiles.aws.sizes).map((size) => cpuShare(size, 4));
  expect(shares.map(({ weight }) => weight)).toEqual([25, 50, 100, 200, 400]);
  expect(shares.map(({ max }) => max)).toEqual([1, 2, 4, 8, 16]);
});

test('no VM gets more than its processors and some for its own work', () => {
  expect(cpuShare({ baselineMib: 8192, vcpus: 1 }, 4).max).toBe(1.5);
});

test('a lower burst caps at half a processor, a build is not held to less than one', () => {
  const small = { baselineMib: 512, vcpus: 1 };
  expect(cpuShare(small, 2)).toEqual({ weight: 25, max: 0.5 });
  expect(cpuShare(small, 2, 1).max).toBe(1);
});

test('weights stay within what a cgroup takes', () => {
  expect(cpuShare({ baselineMib: 1, vcpus: 1 }, 4).weight).toBe(1);
  expect(cpuShare({ baselineMib: 1 << 20, vcpus: 1 }, 4).weight).toBe(10_000);
});
