// The streams to shells that are open, by MicroVM, so that none outlives its MicroVM's time awake.
import type { Duplex } from 'node:stream';
import { Fault } from '../lib/errors.ts';

export class OpenShells {
  readonly #streams = new Map<string, Set<Duplex>>();

  add(microvmId: string, stream: Duplex): void {
    const streams = this.#streams.get(microvmId) ?? new Set();
    this.#streams.set(microvmId, streams.add(stream));
    stream.once('close', () => {
      streams.delete(stream);
      if (streams.size === 0 && this.#streams.get(microvmId) === streams) this.#streams.delete(microvmId);
    });
  }

  /** Ends all shells of a MicroVM. */
  drop(microvmId: string): void {
    const gone = new Fault('vm_gone', { microvmId, why: 'it was suspended or has ended' });
    for (const stream of this.#streams.get(microvmId) ?? []) stream.destroy(gone);
  }
}
