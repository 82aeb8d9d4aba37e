// Connections to applications through the agent's relay in one running guest (docs/guest-protocol.md). The guest is hostile.
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { RelayAddress } from '../contract/node-api.ts';
import { within } from '../lib/deadline.ts';
import { relayHandshake } from './handshake.ts';

const deadlineMs = 10_000;

export class Relay {
  readonly #address: RelayAddress;
  /** Those being made included. */
  readonly #streams = new Set<Socket>();

  constructor(address: RelayAddress) {
    this.#address = address;
  }

  /** A byte stream to 127.0.0.1:port of the guest. Rejects with `guest_failed` when nothing listens or the guest is gone, `aborted` or `deadline_exceeded`. */
  async open(port: number, signal?: AbortSignal): Promise<Duplex> {
    const { host, port: relayPort } = this.#address;
    const socket = connect({ host, port: relayPort, allowHalfOpen: true, noDelay: true });
    this.#streams.add(socket);
    socket.once('close', () => this.#streams.delete(socket));
    // A guest can reset the connection before anybody else listens for that.
    socket.on('error', () => {});
    try {
      await within(deadlineMs, `Connecting to port ${port} of the guest`, relayHandshake(socket, port, signal));
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    }
  }

  /** Ends every connection: a VM that is gone resets none of them, and whoever waits for it would wait for his deadline. */
  close(): void {
    for (const socket of this.#streams) socket.destroy();
  }
}
