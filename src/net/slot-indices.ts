// Which slot indices are taken, and by what. A name that stands on the host for any reason is never given to a new slot.
import { slotIndexLimit } from './addresses.ts';

export class SlotIndices {
  /** Of an earlier server, neither adopted nor swept yet. */
  readonly found: Set<number>;
  /** Being made or being taken over. */
  readonly busy = new Set<number>();
  #next: number;

  constructor(found: readonly number[]) {
    this.found = new Set(found);
    this.#next = (Math.max(-1, ...found) + 1) % slotIndexLimit;
  }

  /** Holds `index` as long as `work` takes. */
  async during<T>(index: number, work: () => Promise<T>): Promise<T> {
    this.busy.add(index);
    try {
      return await work();
    } finally {
      this.busy.delete(index);
    }
  }

  /** Indices are taken in turn, so that an address is long out of use before it comes again. */
  free(taken: (index: number) => boolean): number {
    while (this.found.has(this.#next) || this.busy.has(this.#next) || taken(this.#next)) this.#step();
    const index = this.#next;
    this.#step();
    return index;
  }

  #step(): void {
    this.#next = (this.#next + 1) % slotIndexLimit;
  }
}
