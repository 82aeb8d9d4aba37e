// The keys of one bucket in order, in memory: record files are named by hash, so a directory says nothing about order.
import type { ObjectInfo } from '../contract/object-store.ts';

/** Keys sort by their UTF-8 bytes (as S3's do), which for strings of one char per byte is plain comparison. */
export const sortable = (key: string): string => Buffer.from(key, 'utf8').toString('latin1');

export class KeyIndex {
  readonly #infos = new Map<string, ObjectInfo>();
  #sorted: string[] | undefined;

  set(info: ObjectInfo): void {
    const name = sortable(info.key);
    if (!this.#infos.has(name)) this.#sorted = undefined;
    this.#infos.set(name, info);
  }

  delete(key: string): void {
    if (this.#infos.delete(sortable(key))) this.#sorted = undefined;
  }

  get(sortableKey: string): ObjectInfo | undefined {
    return this.#infos.get(sortableKey);
  }

  /** All sortable keys in order. */
  sorted(): readonly string[] {
    this.#sorted ??= [...this.#infos.keys()].sort();
    return this.#sorted;
  }
}

/** First position in `sorted` whose value is greater than `value`, or equal when `orEqual`. */
export function position(sorted: readonly string[], value: string, orEqual: boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const at = sorted[middle] ?? '';
    if (at < value || (!orEqual && at === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}
