// Lines appended to a file in the background: whoever writes never waits, memory is bounded, and what a slow or full disk costs is counted.
import { write } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Clock, Timer } from './clock.ts';
import { within } from './deadline.ts';
import { describe, Fault } from './errors.ts';
import type { Log } from './log.ts';

export interface LineFileOptions {
  clock: Clock;
  /** Hears of lost lines and failed writes, at most every ten seconds. */
  log: Log;
  /** Characters that may wait to be written, 4 Mi by default; lines beyond that are lost. */
  maxWaiting?: number;
  /** How long a line waits for others, so that they are written together; default 100 ms. */
  gatherMs?: number;
}

const promptCharacters = 64 * 1024;
const retryMs = 1_000;
const reportMs = 10_000;
const closeMs = 2_000;
const standardOutput = 1;
const lineFeed = 10;

const writeBytes = promisify(write);

export class LineFile implements AsyncDisposable {
  readonly #path: string;
  readonly #options: Required<LineFileOptions>;
  /** Undefined: standard output. */
  #handle: FileHandle | undefined;
  #lines: string[] = [];
  #characters = 0;
  /** Taken out of `lines`, not yet written: an error in the middle of it leaves the rest. */
  #batch = Buffer.alloc(0);
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #reopen = false;
  #closed = false;
  #lost = 0;
  #reportedAtMs = Number.NEGATIVE_INFINITY;

  /** Use `openLineFile`. */
  constructor(path: string, handle: FileHandle | undefined, options: LineFileOptions) {
    this.#path = path;
    this.#handle = handle;
    this.#options = { maxWaiting: 4 << 20, gatherMs: 100, ...options };
  }

  /** Lines that were lost since the start. */
  get lost(): number {
    return this.#lost;
  }

  /** Without the line feed, and with none in it. */
  write(line: string): void {
    if (this.#closed || this.#characters + line.length >= this.#options.maxWaiting) {
      this.#lose(1, 'they come faster than they can be written');
      return;
    }
    this.#lines.push(line);
    this.#characters += line.length + 1;
    if (this.#writing) return;
    if (this.#characters >= promptCharacters) this.#flush();
    else this.#gather();
  }

  /** For programs that move the file away: the next lines go to a new file of this name. */
  reopen(): void {
    if (!this.#handle) return;
    this.#reopen = true;
    if (!this.#writing) this.#flush();
  }

  /** Writes what waits, for two seconds at most. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    if (!this.#writing) this.#flush();
    await within(closeMs, 'Writing the last lines', this.#writing ?? Promise.resolve()).catch(() => {});
    const left = this.#lines.length + this.#batch.filter((byte) => byte === lineFeed).length;
    if (left > 0) this.#lose(left, 'the file was closed before they could be written');
    await this.#handle?.close();
  }

  #flush(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#writing = this.#work().finally(() => {
      this.#writing = undefined;
      if (this.#lines.length > 0) this.#gather();
    });
  }

  #gather(): void {
    this.#timer ??= this.#options.clock.after(this.#options.gatherMs, () => this.#flush());
  }

  /** Ends when few lines are left, which wait for more. */
  async #work(): Promise<void> {
    this.#take();
    for (;;) {
      try {
        if (this.#reopen) await this.#replace();
        if (this.#batch.length === 0) return;
        const { bytesWritten } = await writeBytes(this.#handle?.fd ?? standardOutput, this.#batch);
        this.#batch = this.#batch.subarray(bytesWritten);
        if (this.#batch.length === 0 && (this.#closed || this.#characters >= promptCharacters)) this.#take();
      } catch (error) {
        this.#report('line_file.write_failed', { path: this.#path, error: describe(error) });
        if (this.#closed) return;
        await new Promise<void>((resolve) => {
          this.#options.clock.after(retryMs, resolve);
        });
      }
    }
  }

  #take(): void {
    if (this.#lines.length === 0) return;
    this.#batch = Buffer.from(`${this.#lines.join('\n')}\n`);
    this.#lines = [];
    this.#characters = 0;
  }

  /** When the new file cannot be opened, the old one is gone on with. */
  async #replace(): Promise<void> {
    this.#reopen = false;
    const old = this.#handle;
    this.#handle = await openForLines(this.#path);
    await old?.close();
  }

  #lose(lines: number, why: string): void {
    this.#lost += lines;
    this.#report('line_file.lines_lost', { path: this.#path, lost: this.#lost, why });
  }

  #report(event: string, facts: Record<string, unknown>): void {
    const nowMs = this.#options.clock.elapsed();
    if (nowMs - this.#reportedAtMs < reportMs) return;
    this.#reportedAtMs = nowMs;
    this.#options.log.warn(event, facts);
  }
}

/** Appends to `path`; `-` is standard output. Rejects with `invalid_input` when it cannot be written. */
export async function openLineFile(path: string, options: LineFileOptions): Promise<LineFile> {
  return new LineFile(path, path === '-' ? undefined : await openForLines(path), options);
}

/** Makes the file, where it is to be one. Rejects as `openLineFile` does. */
export async function requireLineFile(path: string): Promise<void> {
  if (path !== '-') await (await openForLines(path)).close();
}

async function openForLines(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'a', 0o600);
  } catch (cause) {
    const what = `The log file ${path} cannot be written (${describe(cause)}). Name another one, or mend its directory.`;
    throw new Fault('invalid_input', { what }, cause);
  }
}
