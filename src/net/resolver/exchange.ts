// One question to one name server. Each has a fresh socket, so a fresh random port, and takes datagrams from that server only.
import { createSocket } from 'node:dgram';
import { connect, isIPv6 } from 'node:net';
import { Fault } from '../../lib/errors.ts';
import { frame, Unframer } from './framing.ts';
import type { NameServer } from './name-servers.ts';

export interface Exchange {
  server: NameServer;
  message: Buffer;
  /** Tells the answer from anything else that may come. */
  isAnswer: (answer: Buffer) => boolean;
  /** Ends the wait. */
  signal: AbortSignal;
}

const late = (): Fault => new Fault('aborted', { what: 'The question to a name server' });

/** Over UDP. What is not the answer is passed over. Rejects when the server cannot be reached, and with `aborted`. */
export function askOverUdp({ server, message, isAnswer, signal }: Exchange): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(late());
    const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.removeAllListeners();
      // One that comes while the socket closes belongs to nobody.
      socket.on('error', () => {});
      socket.close();
      settle();
    };
    const onAbort = (): void => end(() => reject(late()));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', (error) => end(() => reject(error)));
    socket.on('message', (answer) => {
      if (isAnswer(answer)) end(() => resolve(answer));
    });
    socket.on('connect', () => socket.send(message, (error) => error && end(() => reject(error))));
    socket.connect(server.port, server.address);
  });
}

/** Over TCP, for answers that do not fit a datagram. Rejects as `askOverUdp` does, and when the first answer is another one. */
export function askOverTcp({ server, message, isAnswer, signal }: Exchange): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(late());
    const socket = connect({ host: server.address, port: server.port });
    const unframer = new Unframer(65_535);
    const end = (settle: () => void): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      settle();
    };
    const wrong = (): void => end(() => reject(new Fault('internal', { what: 'The name server gave no answer.' })));
    const onAbort = (): void => end(() => reject(late()));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', (error) => end(() => reject(error)));
    socket.on('end', wrong);
    socket.on('data', (chunk: Buffer) => {
      const [answer] = unframer.push(chunk);
      if (!answer) return;
      if (isAnswer(answer)) end(() => resolve(answer));
      else wrong();
    });
    socket.write(frame(message));
  });
}
