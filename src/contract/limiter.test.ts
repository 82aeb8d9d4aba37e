import { expect, test } from 'vitest';
import { areLimited, Limiter } from './limiter.ts';
import type { EndpointLimits } from './limits.ts';
import { Signs } from './signs.ts';

const unlimited: EndpointLimits = {
  bytesPerSecond: 'unlimited',
  requestsPerSecond: 'unlimited',
  connections: 'unlimited',
};

function threads(limits: Partial<EndpointLimits>) {
  const clock = { ms: 0 };
  const signs = new Signs();
  const now = (): bigint => BigInt(clock.ms) * 1_000_000n;
  const thread = (index: number) => new Limiter(new Signs(signs.buffer), { ...unlimited, ...limits }, index, now);
  return { clock, signs, a: thread(0), b: thread(63) };
}

test('connections of all threads count together, and those of a thread that is gone do not', () => {
  const { signs, a, b } = threads({ connections: 3 });
  expect([a.connect(), b.connect(), b.connect(), a.connect(), b.connect()]).toEqual([true, true, true, false, false]);
  expect(signs.connections).toBe(3);
  a.disconnect();
  expect([b.connect(), a.connect()]).toEqual([true, false]);
  signs.forget(63);
  expect([signs.connections, a.connect(), a.connect(), a.connect(), a.connect()]).toEqual([0, true, true, true, false]);
});

test('rates of all threads count together, bytes and requests apart, and neither disturbs the signs of life', () => {
  const { clock, signs, a, b } = threads({ bytesPerSecond: 1000, requestsPerSecond: 2 });
  signs.wake(7, 5);
  const activity = signs.begin({
    index: 0,
    clock: { elapsed: () => 9 },
    endIsActivity: true,
  });
  expect([a.bytes(100), b.bytes(100), a.bytes(900)]).toEqual([0, 100, 1000]);
  expect([a.request(), b.request(), a.request(), b.request()]).toEqual([0, 0, 500, 500]);
  clock.ms = 500;
  expect([b.request(), a.request()]).toEqual([0, 500]);
  expect([signs.runs, signs.wakingTime, signs.lastActivityMs, signs.inFlight, signs.activity]).toEqual([
    true,
    7,
    9,
    1,
    1,
  ]);
  a.connect();
  activity.end();
  expect([signs.inFlight, signs.connections]).toEqual([0, 1]);
});

test('what is unlimited is never in the way', () => {
  const { a } = threads({});
  expect([a.limitsBytes, a.bytes(1e12), a.request(), a.connect()]).toEqual([false, 0, 0, true]);
  expect(areLimited(unlimited)).toBe(false);
  for (const name of Object.keys(unlimited)) expect(areLimited({ ...unlimited, [name]: 5 })).toBe(true);
});
