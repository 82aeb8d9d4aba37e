// Reads files slowly and hashes them, so that a pass over everything disturbs nobody.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';

const chunkBytes = 1 << 20;

export interface ReadingOptions {
  clock: Clock;
  /** 0: as fast as can be. */
  mibPerSecond: number;
  signal: AbortSignal;
}

/** Counts what it has read. */
export class Reading {
  files = 0;
  bytes = 0;
  readonly #options: ReadingOptions;
  readonly #buffer = Buffer.allocUnsafeSlow(chunkBytes);

  constructor(options: ReadingOptions) {
    this.#options = options;
  }

  /** Lower-case hex, and the length that was read. Rejects as the system does, and with `aborted`. */
  async hash(path: string, algorithm: 'sha256' | 'md5'): Promise<{ bytes: number; digest: string }> {
    const hash = createHash(algorithm);
    const file = await open(path, 'r');
    let bytes = 0;
    try {
      for (;;) {
        const { bytesRead } = await file.read(this.#buffer, 0, chunkBytes, bytes);
        if (bytesRead === 0) break;
        hash.update(this.#buffer.subarray(0, bytesRead));
        bytes += bytesRead;
        await this.took(bytesRead);
      }
    } finally {
      await file.close();
    }
    this.files += 1;
    return { bytes, digest: hash.digest('hex') };
  }

  /** Bytes that were read in another way: the pause for them. */
  async took(bytes: number): Promise<void> {
    this.bytes += bytes;
    const { clock, mibPerSecond, signal } = this.#options;
    if (signal.aborted) throw new Fault('aborted', { what: 'The scrubbing' });
    if (mibPerSecond === 0) return;
    await new Promise<void>((resolve) => {
      const pauseMs = (bytes / 2 ** 20 / mibPerSecond) * 1000;
      const onAbort = (): void => {
        timer.cancel();
        resolve();
      };
      const timer = clock.after(pauseMs, () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      });
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}
