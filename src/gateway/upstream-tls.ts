// Whether an application's port speaks TLS, and TLS to it. Its certificate is not looked at: it is the loopback of its own VM.
import { randomBytes } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';

/** Record types of TLS (RFC 8446, 5.1): a server answers a ClientHello with one of these, in any version. */
const handshakeRecord = 0x16;
const alertRecord = 0x15;

/**
 * Says ClientHello on `duplex` and looks at the first byte of the answer. False when the other side answers something else or hangs up; undefined
 * when it says nothing within `timeoutMs`. The stream is destroyed in any case.
 */
export function speaksTls(duplex: Duplex, timeoutMs: number, clock: Clock): Promise<boolean | undefined> {
  return new Promise((resolve) => {
    const finish = (verdict: boolean | undefined): void => {
      timer.cancel();
      duplex.destroy();
      resolve(verdict);
    };
    const timer = clock.after(timeoutMs, () => finish(undefined));
    duplex.on('error', () => finish(false)).once('close', () => finish(false));
    duplex.once('data', (chunk: Buffer) => finish(chunk[0] === handshakeRecord || chunk[0] === alertRecord));
    duplex.write(clientHello());
  });
}

/** Rejects with `guest_failed` when the handshake fails, or does not end within `timeoutMs`; the stream is destroyed then. */
export function openTls(
  duplex: Duplex,
  options: { servername: string; protocols: string[] },
  timeoutMs: number,
  clock: Clock,
): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const { servername, protocols: ALPNProtocols } = options;
    const socket = connect({ socket: duplex, servername, ALPNProtocols, rejectUnauthorized: false });
    const fail = (cause?: unknown): void => {
      timer.cancel();
      socket.destroy();
      duplex.destroy();
      reject(new Fault('guest_failed', { what: 'has an application with which the TLS handshake failed' }, cause));
    };
    const timer = clock.after(timeoutMs, fail);
    socket.on('error', fail);
    socket.once('close', fail);
    socket.once('secureConnect', () => {
      timer.cancel();
      socket.off('close', fail);
      resolve(socket);
    });
  });
}

/**
 * RFC 8446, 4.1.2, for versions 1.2 and 1.3. It has an empty line in its random bytes, so that a server that reads lines of text answers at once
 * instead of waiting for more.
 */
function clientHello(): Buffer {
  const random = randomBytes(32);
  random.write('\r\n\r\n', 8, 'latin1');
  const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
  const sized = (bytes: Buffer): Buffer => Buffer.concat([u16(bytes.length), bytes]);
  const extension = (type: number, body: Buffer): Buffer => Buffer.concat([u16(type), sized(body)]);
  const list = (...values: number[]): Buffer => sized(Buffer.concat(values.map(u16)));
  const ciphers = list(0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0x009c, 0x002f);
  const extensions = Buffer.concat([
    extension(10, list(0x001d, 0x0017, 0x0018)),
    extension(11, Buffer.from([1, 0])),
    extension(13, list(0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601)),
    extension(43, Buffer.from([4, 3, 4, 3, 3])),
    extension(51, list()),
  ]);
  const hello = Buffer.concat([
    Buffer.from([3, 3]),
    random,
    Buffer.from([0]),
    ciphers,
    Buffer.from([1, 0]),
    sized(extensions),
  ]);
  const handshake = Buffer.concat([Buffer.from([1, 0]), sized(hello)]);
  return Buffer.concat([Buffer.from([handshakeRecord, 3, 1]), sized(handshake)]);
}
