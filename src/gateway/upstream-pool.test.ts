import { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import { Http1Connection } from './upstream-http1.ts';
import { type Place, UpstreamPool } from './upstream-pool.ts';

const stream = (): Duplex => new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
const never = new AbortController().signal;
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const at = (microvmId: string, port: number): Place => ({ microvmId, port, kind: 'ordinary' });

function poolOf(dial: () => Promise<Duplex>, maxConnections = 1): UpstreamPool {
  return new UpstreamPool({ connect: async () => new Http1Connection(await dial(), 30_000), maxConnections });
}

test('a released connection is used again, per MicroVM and port', async () => {
  const pool = poolOf(async () => stream());
  const first = await pool.acquire(at('a', 80), never);
  pool.release(at('a', 80), first);
  expect(await pool.acquire(at('a', 80), never)).toBe(first);
  expect(await pool.acquire(at('a', 81), never)).not.toBe(first);
  expect(await pool.acquire(at('b', 80), never)).not.toBe(first);
  expect(pool.size).toBe(3);
  pool.close();
  await settled();
  expect(pool.size).toBe(0);
});

test('a connection that died while idle is not given out', async () => {
  const pool = poolOf(async () => stream());
  const first = await pool.acquire(at('a', 80), never);
  pool.release(at('a', 80), first);
  first.duplex.destroy();
  expect(await pool.acquire(at('a', 80), never)).not.toBe(first);
  pool.close();
});

test('whoever waits for a connection gets it on release, on its death, and after a failed dial', async () => {
  let fail = false;
  const pool = poolOf(async () => {
    if (fail) throw new Fault('guest_failed', { what: 'refused' });
    return stream();
  });
  const first = await pool.acquire(at('a', 80), never);
  const second = pool.acquire(at('a', 80), never);
  const third = pool.acquire(at('a', 80), never);
  const fourth = pool.acquire(at('a', 80), never);
  pool.release(at('a', 80), first);
  expect(await second).toBe(first);
  fail = true;
  const refused = expect(Promise.all([third, fourth])).rejects.toMatchObject({ code: 'guest_failed' });
  first.destroy(new Error('gone'));
  await refused;
  await expect(fourth).rejects.toMatchObject({ code: 'guest_failed' });
});

test('a waiting request that is given up frees its place in the queue', async () => {
  const pool = poolOf(async () => stream());
  const first = await pool.acquire(at('a', 80), never);
  const impatient = new AbortController();
  const given = expect(pool.acquire(at('a', 80), impatient.signal)).rejects.toMatchObject({ code: 'aborted' });
  const patient = pool.acquire(at('a', 80), never);
  impatient.abort();
  await given;
  pool.release(at('a', 80), first);
  expect(await patient).toBe(first);
  pool.close();
});

/** One that carries `capacity` exchanges at once. */
function wide(capacity: number): UpstreamConnection {
  const duplex = stream();
  duplex.on('error', () => {});
  return {
    duplex,
    capacity,
    uses: 0,
    get isAlive() {
      return !duplex.destroyed;
    },
    send() {},
    check() {},
    destroy: (error) => void duplex.destroy(error),
  };
}

test('a connection of HTTP/2 is shared up to its capacity, and dialled once for all who wait', async () => {
  let dialled = 0;
  const connect = async (): Promise<UpstreamConnection> => {
    dialled += 1;
    return wide(3);
  };
  const pool = new UpstreamPool({ connect, maxConnections: 10 });
  const place: Place = { microvmId: 'a', port: 80, kind: 'http2' };
  const [first, second, third] = await Promise.all([1, 2, 3].map(() => pool.acquire(place, never)));
  expect([second === first, third === first, dialled, pool.take(place)]).toEqual([true, true, 1, undefined]);
  const fourth = await pool.acquire(place, never);
  expect([fourth === first, dialled]).toEqual([false, 2]);
  if (first) pool.release(place, first);
  const taken = [pool.take(place), pool.take(place), pool.take(place), pool.take(place)];
  expect(taken.filter((one) => one === first)).toHaveLength(1);
  expect(taken.filter((one) => one === fourth)).toHaveLength(2);
  expect(taken[3]).toBeUndefined();
  pool.close();
  await settled();
  expect(pool.size).toBe(0);
});

test('drop ends idle and busy connections of one MicroVM only', async () => {
  const pool = poolOf(async () => stream());
  const busy = await pool.acquire(at('a', 80), never);
  const idle = await pool.acquire(at('a', 81), never);
  pool.release(at('a', 81), idle);
  const other = await pool.acquire(at('b', 80), never);
  pool.drop('a');
  await settled();
  expect([busy.isAlive, idle.isAlive, other.isAlive, pool.size]).toEqual([false, false, true, 1]);
  pool.close();
});
