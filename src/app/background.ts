// One piece of work in the background: one run at a time, and asked for during a run, once more.
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';

/** After a run that failed as a whole (a full disk, say), nothing is tried for this long. */
const failurePauseMs = 1000;

/** Acts on each, also after one has failed. Rejects with the first failure at the end. */
export async function actOnEach<T>(items: readonly T[], act: (item: T) => Promise<unknown>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) await act(item).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

export class Background {
  readonly #name: string;
  readonly #work: () => Promise<boolean>;
  readonly #clock: Clock;
  readonly #log: Log;
  #run: Promise<void> | undefined;
  #again = false;
  #retryAtMs = 0;
  #unfinished = true;

  /** `work` is idempotent: it looks for what is to be done, does it, and resolves with whether something is left for later. */
  constructor(name: string, { clock, log }: { clock: Clock; log: Log }, work: () => Promise<boolean>) {
    this.#name = name;
    this.#work = work;
    this.#clock = clock;
    this.#log = log;
  }

  /** Whether it has to be woken again although nobody asks: after a start, after a failure, or when something was left. */
  get unfinished(): boolean {
    return this.#unfinished;
  }

  /** Resolves when nothing is under way. Never rejects. */
  async idle(): Promise<void> {
    await this.#run;
  }

  /** Resolves when what was to be done at the time of the call has been tried. Never rejects. */
  wake(): Promise<void> {
    this.#again = true;
    this.#run ??= Promise.resolve().then(() => this.#loop());
    return this.#run;
  }

  async #loop(): Promise<void> {
    try {
      while (this.#again && this.#retryAtMs <= this.#clock.elapsed()) {
        this.#again = false;
        this.#unfinished = await this.#work();
      }
    } catch (error) {
      this.#log.error(`${this.#name}.failed`, { error: String(error) });
      this.#unfinished = true;
      this.#retryAtMs = this.#clock.elapsed() + failurePauseMs;
    } finally {
      this.#run = undefined;
    }
  }
}
