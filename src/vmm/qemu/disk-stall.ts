// A write that the host's disk had no room for stops the VM (QEMU's werror=enospc) instead of failing in the guest. When there is room again it goes on as
// if nothing had been: QEMU keeps the write and repeats it with `cont`.
import { EventEmitter } from 'node:events';
import { z } from 'zod';
import { pause } from '../../lib/deadline.ts';

const ioError = z.object({ action: z.literal('stop'), nospace: z.literal(true) });

/** What of a monitor connection (qmp.ts) is needed. */
interface Monitor {
  execute(command: 'cont'): Promise<unknown>;
  on(event: 'event', listener: (name: string, data: unknown) => void): unknown;
}

export interface StallOptions {
  /** It waits already. */
  stalled?: boolean;
  /** Between two attempts to go on; default 2 s. */
  retryMs?: number;
  /** No further error for so long after an attempt means that it goes on; default 1 s. */
  settleMs?: number;
}

/** Watches one VM until `close`. Emits `change` with true when it stalls, with false when it goes on. */
export class DiskStall extends EventEmitter<{ change: [boolean] }> {
  readonly #qmp: Monitor;
  readonly #mayContinue: () => boolean;
  readonly #retryMs: number;
  readonly #settleMs: number;
  readonly #closed = new AbortController();
  #errors = 0;
  #stalled = false;

  /** `mayContinue`: false while somebody else has stopped the VM for a reason. */
  constructor(qmp: Monitor, mayContinue: () => boolean, options: StallOptions = {}) {
    super();
    this.#qmp = qmp;
    this.#mayContinue = mayContinue;
    this.#retryMs = options.retryMs ?? 2_000;
    this.#settleMs = options.settleMs ?? 1_000;
    qmp.on('event', (name, data) => {
      if (name === 'BLOCK_IO_ERROR' && ioError.safeParse(data).success) this.#onNoSpace();
    });
    if (options.stalled) this.#onNoSpace();
  }

  get stalled(): boolean {
    return this.#stalled;
  }

  close(): void {
    this.#closed.abort();
  }

  #onNoSpace(): void {
    this.#errors++;
    if (this.#stalled || this.#closed.signal.aborted) return;
    this.#stalled = true;
    this.emit('change', true);
    // Ends with the VM: nothing else bounds how long a disk may be full.
    this.#untilItGoesOn().catch(() => {});
  }

  async #untilItGoesOn(): Promise<void> {
    const { signal } = this.#closed;
    for (;;) {
      await pause(this.#retryMs, signal);
      if (!this.#mayContinue()) continue;
      const before = this.#errors;
      const asked = await this.#qmp.execute('cont').then(
        () => true,
        () => false,
      );
      if (!asked) continue;
      await pause(this.#settleMs, signal);
      if (this.#errors === before) break;
    }
    this.#stalled = false;
    this.emit('change', false);
  }
}
