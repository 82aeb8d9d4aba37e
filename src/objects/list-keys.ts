// One page of a listing: keys under a prefix, those that share a stretch up to a delimiter rolled into one.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
import type { ObjectPage } from '../contract/object-store.ts';
import { type KeyIndex, position, sortable } from './key-index.ts';

export interface ListQuery {
  prefix: string;
  delimiter: string;
  /** Only keys after this one. */
  after: string;
  /** Keys and common prefixes together. */
  limit: number;
}

export function listKeys(index: KeyIndex, query: ListQuery): ObjectPage {
  const page: ObjectPage = { objects: [], commonPrefixes: [] };
  if (query.limit < 1) return page;
  const sorted = index.sorted();
  const prefix = sortable(query.prefix);
  const delimiter = sortable(query.delimiter);
  const [first, after] = [position(sorted, prefix, true), position(sorted, sortable(query.after), false)];
  let at = query.after === '' ? first : Math.max(first, after);
  let last = '';
  while (at < sorted.length) {
    const name = sorted[at] ?? '';
    if (!name.startsWith(prefix)) break;
    if (page.objects.length + page.commonPrefixes.length >= query.limit) return { ...page, next: text(last) };
    const cut = delimiter === '' ? -1 : name.indexOf(delimiter, prefix.length);
    if (cut < 0) {
      const info = index.get(name);
      if (info) page.objects.push(info);
      at += 1;
    } else {
      const shared = name.slice(0, cut + delimiter.length);
      page.commonPrefixes.push(text(shared));
      at = endOfPrefix(sorted, shared, at);
    }
    // The page ends at the last key that was rolled up, so that the next one does not repeat its common prefix.
    last = sorted[at - 1] ?? '';
  }
  return page;
}

/** Position after the last key that starts with `prefix`; `from` is one that does. */
function endOfPrefix(sorted: readonly string[], prefix: string, from: number): number {
  let [low, high] = [from, sorted.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle] ?? '').startsWith(prefix)) low = middle + 1;
    else high = middle;
  }
  return low;
}

const text = (name: string): string => Buffer.from(name, 'latin1').toString('utf8');
