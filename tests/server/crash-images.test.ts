// A server that is killed at some steps of a life; all of them have their turn in tests/long.
import { expect, test } from 'vitest';
import { crashAt } from '../support/crash-run.ts';
import { draws } from '../support/seeded-draws.ts';

const seed = 1;
const oneIn = 60;

test('wherever it is killed: what was promised is there, the rest is done once or not at all, nothing is left over', async () => {
  const draw = draws(seed);
  const { steps, judged, wrong } = await crashAt(() => draw() < 1 / oneIn);
  expect(wrong).toEqual([]);
  expect(judged).toBeGreaterThan(steps / oneIn / 2);
}, 300_000);
