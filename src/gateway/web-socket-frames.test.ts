import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeClose, FrameBoundary } from './web-socket-frames.ts';

function frame(opcode: number, length: number, masked: boolean): Buffer {
  const mask = masked ? 0x80 : 0;
  const head = [0x80 | opcode];
  if (length < 126) head.push(mask | length);
  else if (length < 65_536) head.push(mask | 126, length >> 8, length & 0xff);
  else head.push(mask | 127, 0, 0, 0, 0, 0, length >> 16, (length >> 8) & 0xff, length & 0xff);
  return Buffer.concat([Buffer.from(head), Buffer.alloc(masked ? 4 : 0), Buffer.alloc(length, 0x88)]);
}

test('there is room exactly between frames, however the bytes are cut', () => {
  const lengths = fc.oneof(fc.integer({ min: 0, max: 130 }), fc.constantFrom(125, 126, 65_535, 65_536));
  const frames = fc.array(
    fc.record({ opcode: fc.constantFrom(0, 1, 2, 9, 10), length: lengths, masked: fc.boolean() }),
    {
      maxLength: 6,
    },
  );
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 8 }), (all, picks) => {
      const encoded = all.map(({ opcode, length, masked }) => frame(opcode, length, masked));
      const stream = Buffer.concat(encoded);
      const ends = new Set(encoded.map((_, i) => Buffer.concat(encoded.slice(0, i + 1)).length).concat(0));
      const cuts = [...new Set([...picks.map((pick) => pick % (stream.length + 1)), stream.length])].sort(
        (a, b) => a - b,
      );
      const boundary = new FrameBoundary();
      let from = 0;
      for (const to of cuts) {
        boundary.pass(stream.subarray(from, to));
        from = to;
        expect(boundary.mayClose).toBe(ends.has(to));
      }
    }),
  );
});

test('nothing follows a close frame; our own is one', () => {
  const boundary = new FrameBoundary();
  boundary.pass(Buffer.from([0x81, 0]));
  expect(boundary.mayClose).toBe(true);
  boundary.pass(encodeClose(1001, 'gone'));
  expect(boundary.mayClose).toBe(false);
  expect([...encodeClose(1001, 'x')]).toEqual([0x88, 3, 3, 0xe9, 0x78]);
});

test('a length beyond all numbers leaves no room, and takes no time', () => {
  const boundary = new FrameBoundary();
  boundary.pass(Buffer.from([0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255]));
  boundary.pass(Buffer.alloc(1 << 20));
  expect(boundary.mayClose).toBe(false);
});
