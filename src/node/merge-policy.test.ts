// When layers are merged, and when a wake waits for it.
import { expect, test } from 'vitest';
import { unknownImage } from './image-facts.ts';
import { mergePlan } from './merge-policy.ts';

const facts = { ...unknownImage, diskMib: 8192, memoryMib: 512 };
const mib = 2 ** 20;

test('usually a few layers are left alone, and a wake waits for nothing', () => {
  expect(mergePlan(facts, 1, 100 * mib)).toEqual({ from: 6, mustFinish: false });
  expect(mergePlan(facts, 63, 100 * mib)).toMatchObject({ mustFinish: false });
  expect(mergePlan(facts, 64, 100 * mib)).toMatchObject({ mustFinish: true });
});

test('a guest that rewrites its disk again and again is held to twice its size', () => {
  expect(mergePlan(facts, 1, (2 * 8192 + 512) * mib)).toEqual({ from: 6, mustFinish: false });
  expect(mergePlan(facts, 1, (2 * 8192 + 512) * mib + 1)).toEqual({ from: 2, mustFinish: true });
});
