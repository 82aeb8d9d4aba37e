import fc from 'fast-check';
import { expect, test } from 'vitest';
import { printable, printableLine } from './printable.ts';

test.each([
  ['plain äöü 🐻\n\ttext', 'plain äöü 🐻\n\ttext'],
  ['\u001b[31mred\u001b[0m', 'red'],
  ['\u001b]0;title\u0007after', 'after'],
  ['\u001b]8;;http://x\u001b\\link', 'link'],
  ['\u001bcreset', 'reset'],
  ['windows\r\nline', 'windows\nline'],
  ['over\rwritten', 'over\ufffdwritten'],
  ['a\0b\u009b31mc', 'a\ufffdb\ufffd31mc'],
  ['abc\u202egnp.exe', 'abc\ufffdgnp.exe'],
  ['cut off \u001b', 'cut off \ufffd'],
])('%j', (text, safe) => expect(printable(text)).toBe(safe));

test('whatever comes in, no control character comes out', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
      expect(printable(text)).not.toMatch(/[\0-\u0008\u000b-\u001f\u007f-\u009f]/);
      expect(printableLine(text, 20).length).toBeLessThanOrEqual(20);
      expect(printableLine(text, 20)).not.toContain('\n');
    }),
  );
});
