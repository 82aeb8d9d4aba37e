import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Gcra } from './gcra.ts';

const nsPerMs = 1_000_000n;

function rig(rate: { perSecond: number; burst: number }) {
  const cells = new BigInt64Array(new SharedArrayBuffer(16));
  const clock = { ns: 10n ** 18n };
  const view = () => new Gcra(cells, 1, rate, () => clock.ns);
  const advance = (ms: number): void => {
    clock.ns += BigInt(Math.round(ms * Number(nsPerMs)));
  };
  return { cells, view, advance };
}

test('a burst at once, then the rate, and who is refused hears when', () => {
  const { view, advance } = rig({ perSecond: 10, burst: 5 });
  const [one, other] = [view(), view()];
  const taken = Array.from({ length: 8 }, (_, i) => (i % 2 === 0 ? one : other).take());
  expect(taken).toEqual([0, 0, 0, 0, 0, 100, 100, 100]);
  advance(99);
  expect(one.take()).toBeCloseTo(1);
  advance(1);
  expect([one.take(), other.take()]).toEqual([0, 100]);
  // A rest gives the burst back, and no more.
  advance(1_000_000);
  expect(Array.from({ length: 6 }, () => one.take())).toEqual([0, 0, 0, 0, 0, 100]);
});

test('what is spent beyond the rate waits for all that was spent before', () => {
  const { view } = rig({ perSecond: 1000, burst: 100 });
  const [one, other] = [view(), view()];
  expect([one.spend(100), other.spend(100), one.spend(300)]).toEqual([0, 100, 400]);
});

test('the other cells stay as they are', () => {
  const { cells, view } = rig({ perSecond: 1, burst: 1 });
  view().spend(3);
  expect(cells[0]).toBe(0n);
});

test('whoever waits as told never makes it more than the burst and the rate', () => {
  const steps = fc.array(
    fc.record({ count: fc.integer({ min: 1, max: 70_000 }), rest: fc.integer({ min: 0, max: 500 }) }),
    {
      minLength: 1,
      maxLength: 100,
    },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1000, max: 16_000_000 }), steps, (perSecond, all) => {
      const burst = perSecond / 10;
      const { view, advance } = rig({ perSecond, burst });
      const gcra = view();
      let [elapsedMs, passed] = [0, 0];
      for (const { count, rest } of all) {
        const waitMs = gcra.spend(count) + rest;
        advance(waitMs);
        elapsedMs += waitMs;
        passed += count;
        expect(passed).toBeLessThanOrEqual(burst + (perSecond * elapsedMs) / 1000 + 1);
      }
    }),
  );
});
