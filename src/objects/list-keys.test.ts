// Listing against a plain model: any keys, prefix, delimiter and page size.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeyIndex } from './key-index.ts';
import { listKeys } from './list-keys.ts';

const word = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'é', '😀', '\uffee'), maxLength: 5 });
const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

function indexOf(keys: readonly string[]): KeyIndex {
  const index = new KeyIndex();
  for (const key of keys) index.set({ key, bytes: 0, etag: '', lastModifiedMs: 0, contentType: '', metadata: {} });
  return index;
}

function model(keys: readonly string[], prefix: string, delimiter: string): string[] {
  const rolled = keys
    .filter((key) => key.startsWith(prefix))
    .map((key) => {
      const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      return cut < 0 ? key : key.slice(0, cut + delimiter.length);
    });
  return [...new Set(rolled)].sort(byBytes);
}

test('the pages together are the whole listing, in order, each of at most the limit', () => {
  const keys = fc.uniqueArray(
    word.filter((key) => key !== ''),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(
      keys,
      word,
      fc.constantFrom('', '/', 'a/', 'é'),
      fc.integer({ min: 1, max: 5 }),
      (all, prefix, delimiter, limit) => {
        const index = indexOf(all);
        const seen: string[] = [];
        for (let after = ''; ; ) {
          const page = listKeys(index, { prefix, delimiter, after, limit });
          const entries = [...page.objects.map(({ key }) => key), ...page.commonPrefixes].sort(byBytes);
          expect(entries.length).toBeLessThanOrEqual(limit);
          seen.push(...entries);
          if (page.next === undefined) break;
          expect(entries.length).toBe(limit);
          after = page.next;
        }
        expect(seen).toEqual(model(all, prefix, delimiter));
      },
    ),
    { numRuns: 500 },
  );
});

test('deleted keys are not listed, and a limit of nothing gives nothing', () => {
  const index = indexOf(['a', 'b']);
  index.sorted();
  index.delete('a');
  expect(listKeys(index, { prefix: '', delimiter: '', after: '', limit: 9 }).objects.map(({ key }) => key)).toEqual([
    'b',
  ]);
  expect(listKeys(index, { prefix: '', delimiter: '', after: '', limit: 0 })).toEqual({
    objects: [],
    commonPrefixes: [],
  });
});
