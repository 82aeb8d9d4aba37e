// HTTP/2 by hand, for tests that misbehave or look closely. RFC 9113, 4 and 6.
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { Rig } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

export const frameTypes = { data: 0, headers: 1, rst: 3, settings: 4, ping: 6, goaway: 7, window: 8, continuation: 9 };
export const flags = { endStream: 1, ack: 1, endHeaders: 4 };

export interface Frame {
  type: number;
  flags: number;
  stream: number;
  payload: Buffer;
}

export function frame(type: number, flagBits: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flagBits;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header block without compression (RFC 7541, 6.2.2). */
export function block(headers: readonly (readonly [string, string])[]): Buffer {
  const text = (value: string): Buffer => Buffer.concat([length(value.length), Buffer.from(value, 'latin1')]);
  return Buffer.concat(headers.map(([name, value]) => Buffer.concat([Buffer.from([0]), text(name), text(value)])));
}

function length(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  let rest = value - 127;
  for (; rest >= 128; rest >>= 7) bytes.push((rest & 127) | 128);
  return Buffer.from([...bytes, rest]);
}

export interface RawHttp2 {
  socket: TLSSocket;
  /** Everything that came so far. */
  frames: Frame[];
  closed: Promise<unknown>;
}

/** A connection that has said its preface and nothing else. */
export async function rawHttp2(rig: Rig, microvmId: string, preface = true): Promise<RawHttp2> {
  const servername = hostOf(microvmId);
  const socket = connect({ host: '127.0.0.1', port: rig.port, servername, ca: rig.ca, ALPNProtocols: ['h2'] });
  await once(socket, 'secureConnect');
  socket.on('error', () => {});
  const frames: Frame[] = [];
  let held = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    held = Buffer.concat([held, chunk]);
    while (held.length >= 9 && held.length >= 9 + held.readUIntBE(0, 3)) {
      const size = 9 + held.readUIntBE(0, 3);
      frames.push({
        type: held[3] ?? 0,
        flags: held[4] ?? 0,
        stream: held.readUInt32BE(5),
        payload: held.subarray(9, size),
      });
      held = held.subarray(size);
    }
  });
  const closed = new Promise((resolve) => socket.once('close', resolve));
  if (preface)
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(frameTypes.settings, 0, 0)]));
  return { socket, frames, closed };
}

/** Headers of a whole request with a good token. */
export async function requestBlock(
  rig: Rig,
  microvmId: string,
  more: readonly [string, string][] = [],
): Promise<Buffer> {
  return block([
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/'],
    [':authority', hostOf(microvmId)],
    ['x-aws-proxy-auth', await rig.token(microvmId)],
    ...more,
  ]);
}
