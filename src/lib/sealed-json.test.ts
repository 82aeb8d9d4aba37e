import fc from 'fast-check';
import { expect, test } from 'vitest';
import { openSealed, sealJson } from './sealed-json.ts';

const record = { name: 'memory.pages', nested: { list: [1, { deep: true }], text: 'a } b\n' }, last: {} };

test('what was sealed opens; a file of before is taken as it is', () => {
  for (const indent of [0, 1]) expect(JSON.parse(openSealed(sealJson(record, indent)))).toEqual(record);
  for (const text of [JSON.stringify(record), `${JSON.stringify(record, undefined, 1)}\n`]) {
    expect(JSON.parse(openSealed(text))).toEqual(record);
  }
});

test('every single flipped bit is found', () => {
  const whole = Buffer.from(sealJson(record, 1));
  const parse = (bytes: Buffer): unknown => JSON.parse(openSealed(bytes.toString('latin1')));
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const flipped = Buffer.from(whole);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(() => parse(flipped), `bit ${bit}`).toThrow();
  }
});

test('whatever the content, it survives, and a cut does not pass for whole', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.nat(), (value, cut) => {
      const text = sealJson(value);
      expect(openSealed(text)).toBe(JSON.stringify(value));
      const at = 1 + (cut % (text.length - 1));
      const end = text.lastIndexOf('}') + 1;
      // Without its last line it is as a file of an earlier version.
      if (text.slice(0, -at).trim().length === end) return;
      expect(() => JSON.parse(openSealed(text.slice(0, -at)))).toThrow();
    }),
  );
});
