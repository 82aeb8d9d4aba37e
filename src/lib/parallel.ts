// Work on many things, a few at a time.

/** Does `work` on each, `limit` at a time, in order. Rejects with the first failure, when what was begun before has ended. */
export async function forEachOf<T>(limit: number, items: Iterable<T>, work: (item: T) => Promise<void>): Promise<void> {
  // All workers draw from the one iterator, and stop drawing when one has failed.
  const left = items[Symbol.iterator]();
  const failures: unknown[] = [];
  const worker = async (): Promise<void> => {
    for (let next = left.next(); !next.done && failures.length === 0; next = left.next()) {
      await work(next.value).catch((error: unknown) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: limit }, worker));
  if (failures.length > 0) throw failures[0];
}
