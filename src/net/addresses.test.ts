// Ranges and links of slots.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chooseRange, slotIndexLimit, slotLink } from './addresses.ts';

test('the wished range, when no route overlaps it', () => {
  expect(chooseRange(['default', '192.168.1.0/24', '10.111.0.0/30'])).toBe('10.112.0.0/16');
  expect(chooseRange([], '10.50.0.0/16')).toBe('10.50.0.0/16');
});

test.each([
  ['a single address inside', '10.112.3.4'],
  ['a smaller network inside', '10.112.0.0/31'],
  ['the same network', '10.112.0.0/16'],
  ['a wider network around', '10.112.0.0/15'],
])('another range when a route overlaps: %s', (_, route) => {
  expect(chooseRange([route])).not.toBe('10.112.0.0/16');
});

test('a wider route may take several candidates at once', () => {
  expect(chooseRange(['10.112.0.0/14'])).toBe('10.116.0.0/16');
  expect(() => chooseRange(['10.0.0.0/8'])).toThrow('Configure a free private /16');
});

test.each(['10.112.0.0/24', '8.8.0.0/16', 'nonsense', '10.112.1.0/16', '10.300.0.0/16'])(
  'refuses the range %s',
  (wished) => {
    expect(() => chooseRange([], wished)).toThrow();
  },
);

test('no two slots share an address, and all stay in the range', () => {
  const index = fc.integer({ min: 0, max: slotIndexLimit - 1 });
  fc.assert(
    fc.property(index, index, (a, b) => {
      const [one, two] = [slotLink('10.112.0.0/16', a), slotLink('10.112.0.0/16', b)];
      const all = new Set([one.hostAddress, one.slotAddress, two.hostAddress, two.slotAddress]);
      expect(all.size).toBe(a === b ? 2 : 4);
      for (const address of all) expect(address).toMatch(/^10\.112\.\d{1,3}\.\d{1,3}$/);
    }),
  );
});
