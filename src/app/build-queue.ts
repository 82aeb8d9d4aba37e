// Image builds that wait and run: a few at a time, in the order they came.

export class BuildQueue {
  readonly #parallel: number;
  readonly #waiting: (() => Promise<void>)[] = [];
  readonly #running = new Set<Promise<void>>();

  constructor(parallel: number) {
    this.#parallel = parallel;
  }

  /** `build` must not reject. */
  add(build: () => Promise<void>): void {
    this.#waiting.push(build);
    this.#next();
  }

  /** Resolves when nothing waits or runs. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #next(): void {
    while (this.#running.size < this.#parallel) {
      const build = this.#waiting.shift();
      if (!build) return;
      const run = build().finally(() => {
        this.#running.delete(run);
        this.#next();
      });
      this.#running.add(run);
    }
  }
}
