// Held back but never lost: a metered stream against one whose other end is in our hands, on a hand-driven clock.
import { type Duplex, duplexPair } from 'node:stream';
import { expect, test } from 'vitest';
import { Limiter } from '../contract/limiter.ts';
import { Signs } from '../contract/signs.ts';
import type { Timer } from '../lib/clock.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { MeteredStream } from './metered-stream.ts';

const limits = { bytesPerSecond: 1000, requestsPerSecond: 'unlimited', connections: 'unlimited' } as const;

function rig() {
  const clock = new ManualClock();
  const signs = new Signs();
  const limiter = new Limiter(signs, limits, 0, () => BigInt(clock.now()) * 1_000_000n);
  const [inner, application] = duplexPair();
  const timers = new Set<Timer>();
  const after = (ms: number, fn: () => void): Timer => {
    const waiting = clock.after(ms, () => {
      timers.delete(timer);
      fn();
    });
    const cancel = (): void => {
      timers.delete(timer);
      waiting.cancel();
    };
    const timer = { cancel };
    timers.add(timer);
    return timer;
  };
  const stream = new MeteredStream(inner, limiter, { after });
  return { clock, inner, application, stream, timers };
}

function collect(stream: Duplex): { text: string; ended: boolean; closed: boolean } {
  const seen = { text: '', ended: false, closed: false };
  stream.on('data', (chunk: Buffer) => {
    seen.text += chunk.toString();
  });
  stream.on('end', () => {
    seen.ended = true;
  });
  stream.on('close', () => {
    seen.closed = true;
  });
  return seen;
}

test('what is over the rate comes later, whole and in order, and the end after it', async () => {
  const { clock, application, stream } = rig();
  const seen = collect(stream);
  application.write('a'.repeat(100));
  application.write('b'.repeat(500));
  application.end('c'.repeat(500));
  await clock.advance(0);
  expect(seen.text).toBe('a'.repeat(100));
  await clock.advance(499);
  expect(seen.text).toHaveLength(100);
  await clock.advance(1);
  expect(seen.text).toHaveLength(600);
  expect(seen.ended).toBe(false);
  await clock.advance(500);
  expect(seen).toMatchObject({ text: 'a'.repeat(100) + 'b'.repeat(500) + 'c'.repeat(500), ended: true });
});

test('both directions share, and who writes is held back', async () => {
  const { clock, application, stream } = rig();
  const [here, there] = [collect(stream), collect(application)];
  application.write('a'.repeat(600));
  await clock.advance(0);
  let taken = 0;
  for (let i = 0; i < 3; i++)
    stream.write('b'.repeat(100), () => {
      taken += 100;
    });
  stream.end();
  await clock.advance(499);
  expect([here.text.length, there.text.length, taken]).toEqual([0, 0, 0]);
  await clock.advance(1);
  expect(here.text).toHaveLength(600);
  await clock.advance(300);
  expect([there.text, there.ended, taken]).toEqual(['b'.repeat(300), true, 300]);
});

test('while a piece is held, nothing more is read', async () => {
  const { clock, application, stream, inner } = rig();
  collect(stream);
  application.write('a'.repeat(10_000));
  await clock.advance(0);
  for (let i = 0; i < 100; i++) application.write('x'.repeat(10_000));
  await clock.advance(1000);
  expect(inner.readableLength + stream.readableLength).toBeLessThanOrEqual(2 * 64 * 1024);
});

test('nothing that is held keeps a stream from closing', async () => {
  for (const how of ['inner', 'error', 'stream'] as const) {
    const { clock, application, stream, inner, timers } = rig();
    const seen = collect(stream);
    application.write('a'.repeat(10_000));
    stream.write('b'.repeat(10_000));
    await clock.advance(0);
    expect(timers.size).toBe(2);
    if (how === 'inner') inner.destroy();
    if (how === 'error') inner.destroy(new Error('reset'));
    if (how === 'stream') stream.destroy();
    await clock.advance(0);
    expect([seen.closed, inner.destroyed, stream.errored?.message]).toEqual([
      true,
      true,
      how === 'error' ? 'reset' : undefined,
    ]);
    expect(timers.size).toBe(0);
    await clock.advance(100_000);
    expect(seen.text).toBe('');
  }
});

test('what was read but not taken when both ends have closed in peace is not lost', async () => {
  const { clock, application, stream, inner } = rig();
  application.end('a'.repeat(90));
  stream.end();
  application.resume();
  await clock.advance(10);
  stream.read(0);
  await clock.advance(10);
  expect(inner.destroyed).toBe(true);
  const seen = collect(stream);
  await clock.advance(10);
  expect(seen).toMatchObject({ text: 'a'.repeat(90), ended: true });
});

test('what has passed is counted, what is held back is not', async () => {
  const { clock, application, stream } = rig();
  collect(stream);
  application.resume();
  stream.write('a'.repeat(60));
  application.write('b'.repeat(40));
  application.write('c'.repeat(500));
  await clock.advance(0);
  stream.write('d'.repeat(500));
  expect([stream.bytesRead, stream.bytesWritten]).toEqual([40, 60]);
  await clock.advance(1000);
  expect([stream.bytesRead, stream.bytesWritten]).toEqual([540, 560]);
});
