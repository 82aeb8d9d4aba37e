// The first signal asks, the second ends at once.
import { EventEmitter } from 'node:events';
import { expect, test } from 'vitest';
import { fired, listenForStop } from './stop-signals.ts';

test('the first signal asks, the second ends with its number, and disposing takes the listeners away', async () => {
  const source = new EventEmitter();
  const codes: number[] = [];
  const stop = listenForStop(source, (code) => codes.push(code));
  expect(stop.asked.aborted).toBe(false);
  source.emit('SIGTERM', 'SIGTERM');
  await fired(stop.asked);
  expect(codes).toEqual([]);
  source.emit('SIGINT', 'SIGINT');
  expect(codes).toEqual([130]);
  stop.dispose();
  expect(source.listenerCount('SIGINT') + source.listenerCount('SIGTERM')).toBe(0);
});
