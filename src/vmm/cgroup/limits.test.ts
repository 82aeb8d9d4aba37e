// Limits as both versions of cgroups are told them.
import { expect, test } from 'vitest';
import { type GroupLimits, settingsOf } from './limits.ts';

const told = (version: 1 | 2, limits: GroupLimits): Record<string, string> =>
  Object.fromEntries(settingsOf(version, limits).map(({ file, value }) => [file, value]));

test('memory and processes always, the processor when something was ordered', () => {
  const limits = { memoryBytes: 1 << 30, pids: 90 };
  expect(told(2, limits)).toEqual({ 'memory.max': '1073741824', 'memory.swap.max': '0', 'pids.max': '90' });
  expect(told(1, limits)).toEqual({
    'memory.limit_in_bytes': '1073741824',
    'memory.memsw.limit_in_bytes': '1073741824',
    'memory.swappiness': '0',
    'pids.max': '90',
  });
});

test.each([
  [{ weight: 100, max: 1 }, '1024', '100000'],
  [{ weight: 25, max: 0.5 }, '256', '50000'],
  [{ weight: 10_000, max: 16 }, '102400', '1600000'],
  [{ weight: 1, max: 0.001 }, '10', '1000'],
])('%o', (cpu, shares, quota) => {
  const limits = { memoryBytes: 1, pids: 1, cpu };
  expect(told(1, limits)).toMatchObject({
    'cpu.shares': shares,
    'cpu.cfs_quota_us': quota,
    'cpu.cfs_burst_us': quota,
  });
  expect(told(2, limits)).toMatchObject({
    'cpu.weight': String(cpu.weight),
    'cpu.max': `${quota} 100000`,
    'cpu.max.burst': quota,
  });
});

test('a quota comes before the burst, which may not be larger', () => {
  for (const version of [1, 2] as const) {
    const files = settingsOf(version, { memoryBytes: 1, pids: 1, cpu: { weight: 1, max: 1 } }).map(({ file }) => file);
    const burst = files.findIndex((file) => file.includes('burst'));
    expect(burst).toBe(files.length - 1);
  }
});
