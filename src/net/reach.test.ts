// Ranges that an operator allows, and the shares of the host's table of connections.
import { expect, test } from 'vitest';
import { resolverAddress, slotAt, slotIndexLimit, slotLink } from './addresses.ts';
import { slotLimits, tableTooSmall } from './limits.ts';
import { checkAllowedRanges } from './reach.ts';

test('ranges in canonical form, none inside another', () => {
  expect(checkAllowedRanges(['192.168.7.9/24', '192.168.7.0/24', '192.168.0.0/16', '100.64.3.0/24'], [])).toEqual([
    '192.168.0.0/16',
    '100.64.3.0/24',
  ]);
  expect(checkAllowedRanges(['192.168.7.0/24'], ['192.168.7.5'])).toEqual(['192.168.7.0/24']);
});

test.each([
  ['8.8.8.0/24', 'not inside a private network'],
  ['172.0.0.0/8', 'not inside a private network'],
  ['127.0.0.1/32', 'not inside a private network'],
  ['169.254.169.254/32', 'not inside a private network'],
  ['10.0.0.0/8', 'the address of every guest'],
  ['192.168.7.5/32', 'an address of this host'],
  ['192.168.7.5/33', 'not an IPv4 network'],
  ['192.168.7./24', 'not an IPv4 network'],
])('%s is refused: %s', (range, why) => {
  expect(() => checkAllowedRanges([range], ['192.168.7.5'])).toThrow(why);
});

test('a slot is known by its address, and nothing else is one', () => {
  for (const index of [0, 1, 300, slotIndexLimit - 1]) {
    const { slotAddress, hostAddress } = slotLink('10.112.0.0/16', index);
    expect(slotAt('10.112.0.0/16', slotAddress)).toBe(index);
    expect(slotAt('10.112.0.0/16', hostAddress)).toBeUndefined();
    expect([slotAddress, hostAddress]).not.toContain(resolverAddress('10.112.0.0/16'));
  }
  for (const address of ['10.112.255.255', '10.113.0.1', '127.0.0.1']) {
    expect(slotAt('10.112.0.0/16', address)).toBeUndefined();
  }
});

test('all slots at their limits leave a third of the table to the host', () => {
  for (const [tableSize, slots] of [
    [262_144, 256],
    [65_536, 64],
    [1_048_576, 16],
    [262_144, 600],
  ] as const) {
    const { openConnections, newConnectionsPerSecond, newConnectionsBurst } = slotLimits(tableSize, slots);
    const entries = openConnections + newConnectionsBurst + 5 * newConnectionsPerSecond;
    expect(slots * entries).toBeLessThanOrEqual((tableSize * 2) / 3);
    expect(tableTooSmall(tableSize, slots)).toBe(false);
  }
  expect(tableTooSmall(8192, 256)).toBe(true);
  expect(slotLimits(8192, 256).openConnections).toBe(128);
});
