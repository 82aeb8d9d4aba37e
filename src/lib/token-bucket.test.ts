import fc from 'fast-check';
import { expect, test } from 'vitest';
import { TokenBucket } from './token-bucket.ts';

test('as many at once as in a second, then one by one as time passes', () => {
  const bucket = new TokenBucket(5, 0);
  expect(Array.from({ length: 6 }, () => bucket.take(0))).toEqual([0, 0, 0, 0, 0, 200]);
  expect(bucket.take(199)).toBeGreaterThan(0);
  expect(bucket.take(200)).toBe(0);
  expect(bucket.take(200)).toBeGreaterThan(0);
  expect(Array.from({ length: 6 }, () => bucket.take(60_000) > 0)).toEqual([false, false, false, false, false, true]);
});

test('those who are sent away together hear of different times, and all who come then are served', () => {
  const bucket = new TokenBucket(5, 0);
  const waits = Array.from({ length: 20 }, () => bucket.take(0));
  expect(waits).toEqual([0, 0, 0, 0, 0, ...Array.from({ length: 15 }, (_, i) => 200 * (i + 1))]);
  const seconds = waits.slice(5).map((ms) => Math.ceil(ms / 1000));
  expect(seconds.map((at) => bucket.take(at * 1000))).toEqual(seconds.map(() => 0));
});

test('whoever does not wait makes nobody wait longer than some seconds', () => {
  const bucket = new TokenBucket(2, 0);
  const waits = Array.from({ length: 10_000 }, () => bucket.take(0));
  expect(Math.max(...waits)).toBe(5500);
  // Nobody came back, and is waited for no longer.
  expect([bucket.take(10_000), bucket.take(10_000), bucket.take(10_000)]).toEqual([0, 0, 500]);
});

test('a clock that is set back or forward neither locks the bucket nor fills it beyond its size', () => {
  const bucket = new TokenBucket(2, 1_000_000);
  expect([bucket.take(1_000_000), bucket.take(1_000_000), bucket.take(1_000_000)]).toEqual([0, 0, 500]);
  expect(bucket.take(1000)).toBeGreaterThan(0);
  expect(bucket.take(1500)).toBe(0);
  expect([bucket.take(9_000_000), bucket.take(9_000_000), bucket.take(9_000_000) > 0]).toEqual([0, 0, true]);
});

test('never more than the rate allows, and who waits alone as long as told is served', () => {
  const pauses = fc.array(fc.integer({ min: 0, max: 700 }), { maxLength: 200 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 50 }), pauses, (perSecond, gaps) => {
      const bucket = new TokenBucket(perSecond, 0);
      let nowMs = 0;
      let taken = 0;
      for (const gap of gaps) {
        nowMs += gap;
        if (bucket.take(nowMs) === 0) taken += 1;
      }
      expect(taken).toBeLessThanOrEqual(perSecond + (nowMs * perSecond) / 1000);
      const waitMs = bucket.take(nowMs);
      expect(waitMs === 0 || bucket.take(nowMs + waitMs) === 0).toBe(true);
    }),
  );
});
