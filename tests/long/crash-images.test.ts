// A server that is killed at each step of a life: before it, and in the middle of it where it can be cut off.
import { expect, test } from 'vitest';
import { crashAt } from '../support/crash-run.ts';

/** Steps of one life: each copy takes some MiB. */
const atOnce = 120;

test('wherever it is killed: what was promised is there, the rest is done once or not at all, nothing is left over', async () => {
  for (let from = 0, steps = 1; from < steps; from += atOnce) {
    const run = await crashAt((n) => n >= from && n < from + atOnce, true);
    expect(run.wrong).toEqual([]);
    expect(run.judged).toBeGreaterThan(0);
    steps = run.steps;
  }
}, 3_600_000);
