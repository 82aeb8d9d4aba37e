import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  decodeExit,
  encodeCommand,
  encodeFrame,
  encodeInput,
  encodeSize,
  FrameReader,
  maxPayloadBytes,
} from './shell-frames.ts';

const payloads = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 20 });

test('frames come out as they went in, however the stream is cut', () => {
  fc.assert(
    fc.property(payloads, fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }), (all, steps) => {
      const stream = Buffer.concat(all.map((payload) => encodeFrame('o', payload)));
      const reader = new FrameReader();
      const got: Buffer[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const step = steps[turn % steps.length] ?? 1;
        got.push(...reader.take(stream.subarray(at, at + step)).map(({ payload }) => Buffer.from(payload)));
        at += step;
      }
      expect(got.map((one) => one.toString('hex'))).toEqual(all.map((one) => Buffer.from(one).toString('hex')));
    }),
  );
});

test('long input takes several frames, a long frame is refused', () => {
  const input = Buffer.alloc(2 * maxPayloadBytes + 1, 'x');
  const frames = new FrameReader().take(encodeInput(input));
  expect(frames.map(({ payload }) => payload.length)).toEqual([maxPayloadBytes, maxPayloadBytes, 1]);
  expect(encodeInput(Buffer.alloc(0))).toHaveLength(0);
  expect(() => encodeFrame('i', Buffer.alloc(maxPayloadBytes + 1))).toThrow(RangeError);
});

test('sizes, commands and exits', () => {
  expect([...encodeSize(300, 40)]).toEqual([0x77, 0, 4, 1, 44, 0, 40]);
  expect(encodeCommand(['a b', '']).toString('latin1')).toBe('a b\0\0');
  expect(decodeExit(Buffer.from([0, 255]))).toEqual({ code: 255 });
  expect(decodeExit(Buffer.from([1, 9]))).toEqual({ signal: 9 });
  for (const wrong of [[], [0], [2, 1], [0, 1, 2]]) expect(decodeExit(Buffer.from(wrong))).toBeUndefined();
});
