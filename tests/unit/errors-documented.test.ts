import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { faultCodes } from '../../src/lib/errors.ts';

test('docs/errors.md lists every code, in order, and no other', () => {
  const text = readFileSync(resolve(import.meta.dirname, '../../docs/errors.md'), 'utf8');
  const listed = [...text.matchAll(/^\| `([a-z_]+)` +\|/gm)].map((match) => match[1]);
  expect(listed).toEqual([...faultCodes].sort());
});
