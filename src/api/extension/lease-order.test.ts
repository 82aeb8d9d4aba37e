import { expect, test } from 'vitest';
import { readLeaseOrder } from './lease-order.ts';

test.each([0, 1, 86_400])('a lease of %d seconds', (seconds) => {
  expect(readLeaseOrder(Buffer.from(JSON.stringify({ seconds })))).toBe(seconds);
});

test.each([
  '',
  'x',
  '60',
  'null',
  '[60]',
  '{}',
  '{"seconds":-1}',
  '{"seconds":0.5}',
  '{"seconds":86401}',
  '{"seconds":"60"}',
  '{"seconds":1,"more":2}',
])('%j is refused', (body) => {
  expect(() => readLeaseOrder(Buffer.from(body))).toThrow('A lease is {"seconds": n}');
});
