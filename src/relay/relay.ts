// Connections to applications and shells through the agent's relay in one running guest (docs/guest-protocol.md). The guest is hostile.
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RelayAddress } from '../contract/node-api.ts';
import type { StreamTarget } from '../contract/shell-frames.ts';
import { within } from '../lib/deadline.ts';
import { Fault, isFault } from '../lib/errors.ts';
import { describeTarget, relayHandshake } from './handshake.ts';

const deadlineMs = 10_000;

export class Relay {
  readonly #address: RelayAddress;
  readonly #hasLeft: () => boolean;
  /** Those being made included. */
  readonly #streams = new Set<GuestStream>();

  /** `hasLeft`: the guest is being suspended or gone, whoever resets connections now. */
  constructor(address: RelayAddress, hasLeft = (): boolean => false) {
    this.#address = address;
    this.#hasLeft = hasLeft;
  }

  /**
   * A byte stream to 127.0.0.1:port of the guest, or to a shell. Rejects with `guest_failed` when nothing listens or the guest is gone, `aborted` or
   * `deadline_exceeded`. When the guest leaves, the stream ends with a Fault.
   */
  async open(target: StreamTarget, signal?: AbortSignal): Promise<Duplex> {
    const stream = new GuestStream(this.#hasLeft);
    this.#streams.add(stream);
    stream.once('close', () => this.#streams.delete(stream));
    // A guest can reset the connection before anybody else listens for that.
    stream.on('error', () => {});
    stream.connect(this.#address);
    try {
      const handshake = relayHandshake(stream, target, signal);
      await within(deadlineMs, `Connecting to ${describeTarget(target)} of the guest`, handshake);
      return stream;
    } catch (error) {
      stream.destroy();
      throw error;
    }
  }

  /** Ends every connection: a VM that is gone resets none of them, and whoever waits for it would wait for his deadline. */
  close(): void {
    for (const stream of this.#streams) stream.destroy(wentAway());
  }
}

/** An agent resets its connections before it sleeps: that is no failure of an application, although it looks like one. */
class GuestStream extends Socket {
  readonly #hasLeft: () => boolean;

  constructor(hasLeft: () => boolean) {
    super({ allowHalfOpen: true });
    this.setNoDelay();
    this.#hasLeft = hasLeft;
  }

  override destroy(error?: Error): this {
    return super.destroy(error && !isFault(error) && this.#hasLeft() ? wentAway(error) : error);
  }
}

const wentAway = (cause?: Error): Fault => new Fault('guest_failed', { what: 'went away' }, cause);
