import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readPaced } from './paced-reader.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a flood is read at its rate, and all of it comes in the end', async () => {
  const stream = new PassThrough({ highWaterMark: 1 << 20 });
  let read = 0;
  readPaced(stream, 100_000, (chunk) => {
    read += chunk.length;
  });
  for (let i = 0; i < 50; i++) stream.write(Buffer.alloc(1000));
  await vi.advanceTimersByTimeAsync(1);
  expect(read).toBe(10_000);
  await vi.advanceTimersByTimeAsync(200);
  expect(read).toBe(30_000);
  await vi.advanceTimersByTimeAsync(1000);
  expect(read).toBe(50_000);
});

test('a stream that says little is never held up, and one that says nothing keeps no timer', async () => {
  const stream = new PassThrough();
  let read = 0;
  readPaced(stream, 100_000, (chunk) => {
    read += chunk.length;
  });
  expect(vi.getTimerCount()).toBe(0);
  for (let i = 1; i <= 20; i++) {
    stream.write(Buffer.alloc(1000));
    await vi.advanceTimersByTimeAsync(50);
    expect(read).toBe(i * 1000);
  }
  await vi.advanceTimersByTimeAsync(500);
  expect(vi.getTimerCount()).toBe(0);
});
