import { expect, test } from 'vitest';
import { EscapeFilter } from './escape.ts';

const typed = (...pieces: string[]): [string, boolean] => {
  const filter = new EscapeFilter();
  let text = '';
  for (const piece of pieces) {
    const { bytes, leave } = filter.pass(Buffer.from(piece));
    text += bytes.toString();
    if (leave) return [text, true];
  }
  return [text, false];
};

test.each<[string[], string, boolean]>([
  [['~.'], '', true],
  [['ls\r', '~', '.rest'], 'ls\r', true],
  [['a~.'], 'a~.', false],
  [['~~.'], '~.', false],
  [['\r~x'], '\r~x', false],
  [['\n~\r~.'], '\n~\r', true],
  [['λ\r'], 'λ\r', false],
])('%j', (pieces, text, leave) => {
  expect(typed(...pieces)).toEqual([text, leave]);
});
