// Watermarks: what may still start on a disk that fills up, and what a refusal says.
import { expect, test } from 'vitest';
import { DiskGauge, defaultReserveMib, diskOf } from './disk-gauge.ts';

const gauge = (freeMib: number, reserveMib?: number) =>
  new DiskGauge(async () => ({ totalMib: 100_000, freeMib }), reserveMib);

test('by default 4 GiB or 5 % are left, of a small disk a quarter', () => {
  expect([1_000_000, 40_000, 8_000].map(defaultReserveMib)).toEqual([50_000, 4096, 2000]);
});

test('launches and builds stop at the watermark, wakes at half of it', async () => {
  const kinds = ['launch', 'build', 'wake'] as const;
  const allowed = async (freeMib: number, sleepMib = 0): Promise<string[]> => {
    const results = await Promise.allSettled(kinds.map((kind) => gauge(freeMib, 1000).check(kind, sleepMib)));
    return kinds.filter((_, i) => results[i]?.status === 'fulfilled');
  };
  expect(await allowed(1000)).toEqual(['launch', 'build', 'wake']);
  expect(await allowed(999)).toEqual(['wake']);
  expect(await allowed(499)).toEqual([]);
  // What runs must still find room to sleep.
  expect(await allowed(1499, 500)).toEqual(['wake']);
});

test('a refusal has the numbers and what to do', async () => {
  await expect(gauge(900, 1000).check('launch', 512)).rejects.toMatchObject({
    code: 'capacity_exhausted',
    message:
      "This host's disk is too full for that: 900 MiB are free, a launch leaves 1000 MiB untouched, and 512 MiB are kept for putting to " +
      'sleep what runs. Terminate MicroVMs, delete files from the disk of the data directory, or lower --disk-reserve.',
  });
  await expect(gauge(5000).check('launch', 1)).rejects.toThrow('leaves 5000 MiB untouched');
});

test('the disk of a real directory is looked at', async () => {
  const { totalMib, freeMib } = await diskOf(import.meta.dirname)();
  expect(totalMib).toBeGreaterThan(freeMib);
  expect(freeMib).toBeGreaterThan(0);
});
