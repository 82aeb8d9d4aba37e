// The relay of a fake VM's agent: a port on the host's loopback that speaks as the real one does (docs/guest-protocol.md).
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import type { RelayAddress } from '../../contract/node-api.ts';
import type { FakeApp } from './fake-app.ts';
import { serveFakeShell } from './fake-shell.ts';

const maxRequestBytes = 8;

/** What is behind it. */
type Application = Pick<FakeApp, 'listens' | 'accept'>;

export class FakeRelay {
  readonly #app: Application;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#hear(socket));

  constructor(app: Application) {
    this.#app = app;
  }

  async listen(): Promise<RelayAddress> {
    this.#server.listen(0, '127.0.0.1');
    // What serves pretended VMs keeps no process alive.
    this.#server.unref();
    await once(this.#server, 'listening');
    return { host: '127.0.0.1', port: (this.#server.address() as AddressInfo).port };
  }

  /** Takes no more connections and ends those that are there. */
  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Reads the line with the port, or the word for a shell. */
  #hear(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket)).on('error', () => {});
    let said = '';
    const take = (chunk: Buffer): void => {
      said += chunk.toString('latin1');
      const end = said.indexOf('\n');
      if (end < 0 && said.length < maxRequestBytes) return;
      socket.off('data', take).pause();
      if (end < 0) {
        socket.destroy();
        return;
      }
      socket.unshift(Buffer.from(said.slice(end + 1), 'latin1'));
      this.#answer(socket, said.slice(0, end));
    };
    socket.on('data', take);
  }

  #answer(socket: Socket, target: string): void {
    const isShell = target === 'shell';
    if (!isShell && !this.#app.listens(Number(target))) {
      socket.end('-', () => socket.destroy());
      return;
    }
    socket.write('+');
    this.#app.accept(socket, isShell ? serveFakeShell : undefined);
  }
}
