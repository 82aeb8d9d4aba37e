import { expect, test } from 'vitest';
import { progressBar, progressLine } from './progress-line.ts';

const mib = 2 ** 20;

test.each([
  [0, 10 * mib, '[------------------------------]   0 %  0 of 10 MiB'],
  [5 * mib, 10 * mib, '[###############---------------]  50 %  5 of 10 MiB'],
  [1999 * mib, 2000 * mib, '[##############################]  99 %  1,999 of 2,000 MiB'],
  [12 * mib, 10 * mib, '[##############################] 100 %  12 of 10 MiB'],
  [0, 0, '[##############################] 100 %  0 of 0 MiB'],
])('%d of %d bytes', (done, total, bar) => {
  expect(progressBar(done, total)).toBe(bar);
});

test('a line is written over on a terminal, never wraps, and is left out elsewhere', () => {
  const written: string[] = [];
  const out = { write: (text: string) => void written.push(text), isTty: true, columns: () => 10 };
  const line = progressLine(out);
  line.show('0123456789abc');
  line.clear();
  expect(written.splice(0)).toEqual(['\r\x1b[K012345678', '\r\x1b[K']);
  progressLine({ ...out, isTty: false }).show('x');
  expect(written).toEqual([]);
});
