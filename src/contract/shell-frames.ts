// What the host and the keeper of a shell say to each other (docs/guest-protocol.md): a byte of kind, two bytes of length (big endian), so many
// bytes. The guest is hostile: kinds that are not known are for the reader to refuse, and a frame cannot be longer than its length says.

/** What a byte stream into a MicroVM leads to: a port on its loopback, or a shell, whose stream carries these frames. */
export type StreamTarget = number | 'shell';

/** From the host. `terminal` and `pipes` begin: their payload is a command, or empty for a shell. */
export const hostFrames = { terminal: 't', pipes: 'p', input: 'i', inputEnd: 'z', size: 'w' } as const;
/** From the guest; after `exit`, `failed` and `tooMany` comes nothing. */
export const guestFrames = { output: 'o', errors: 'e', exit: 'x', failed: 'f', tooMany: 'b' } as const;

type Values<T> = T[keyof T];
export type FrameKind = Values<typeof hostFrames> | Values<typeof guestFrames>;

export interface ShellFrame {
  /** One character. */
  kind: string;
  payload: Buffer;
}

/** How a shell or command ended. */
export type ShellExit = { code: number } | { signal: number };

export const maxPayloadBytes = 0xffff;
const headerBytes = 3;

/** Throws a RangeError when the payload is longer than `maxPayloadBytes`. */
export function encodeFrame(kind: FrameKind, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  if (payload.length > maxPayloadBytes) throw new RangeError(`A frame of ${payload.length} bytes is too long.`);
  const head = Buffer.from([kind.charCodeAt(0), payload.length >> 8, payload.length & 0xff]);
  return Buffer.concat([head, payload]);
}

/** Input of any length, in as many frames as it takes. */
export function encodeInput(bytes: Buffer): Buffer {
  const frames: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += maxPayloadBytes) {
    frames.push(encodeFrame(hostFrames.input, bytes.subarray(at, at + maxPayloadBytes)));
  }
  return Buffer.concat(frames);
}

/** The payload that names a command; words must not hold NUL. */
export const encodeCommand = (argv: readonly string[]): Buffer => Buffer.from(argv.map((word) => `${word}\0`).join(''));

export const encodeSize = (columns: number, rows: number): Buffer =>
  encodeFrame(hostFrames.size, Buffer.from([columns >> 8, columns & 0xff, rows >> 8, rows & 0xff]));

/** Undefined for a payload that is none. */
export function decodeExit(payload: Buffer): ShellExit | undefined {
  const [kind, number] = payload;
  if (payload.length !== 2 || number === undefined) return undefined;
  if (kind === 0) return { code: number };
  return kind === 1 ? { signal: number } : undefined;
}

/** Cuts a stream into frames. Holds one unfinished frame at most. */
export class FrameReader {
  #held: Buffer = Buffer.alloc(0);

  take(chunk: Buffer): ShellFrame[] {
    let rest = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk]);
    const frames: ShellFrame[] = [];
    while (rest.length >= headerBytes) {
      const end = headerBytes + rest.readUInt16BE(1);
      if (rest.length < end) break;
      frames.push({ kind: String.fromCharCode(rest[0] ?? 0), payload: rest.subarray(headerBytes, end) });
      rest = rest.subarray(end);
    }
    this.#held = rest;
    return frames;
  }
}
