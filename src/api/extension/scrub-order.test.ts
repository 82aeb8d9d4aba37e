import { expect, test } from 'vitest';
import { readScrubOrder } from './scrub-order.ts';

test.each([
  ['', undefined],
  ['{}', undefined],
  ['{"mibPerSecond":0}', 0],
  ['{"mibPerSecond":50}', 50],
])('%j asks for %s', (body, pace) => {
  expect(readScrubOrder(Buffer.from(body))).toBe(pace);
});

test.each(['x', 'null', '[]', '{"mibPerSecond":-1}', '{"mibPerSecond":1.5}', '{"pace":1}'])('%j is refused', (body) => {
  expect(() => readScrubOrder(Buffer.from(body))).toThrow('A pass is asked for with {}');
});
