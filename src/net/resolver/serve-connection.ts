// Questions that come over TCP: one after the other, so that nobody has more than one answer waiting here.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { frame, Unframer } from './framing.ts';
import { maxQueryBytes } from './query.ts';

/** Silence after which a connection ends, and the longest that one lives. */
const idleMs = 10_000;
const lifeMs = 60_000;

/** Serves `socket` to its end. Never rejects; a question without an answer ends the connection. */
export async function serveConnection(socket: Socket, answer: (message: Buffer) => Promise<Buffer | undefined>) {
  const unframer = new Unframer(maxQueryBytes);
  const ended = new AbortController();
  socket.once('close', () => ended.abort());
  const life = setTimeout(() => socket.destroy(), lifeMs);
  life.unref();
  socket.setTimeout(idleMs, () => socket.destroy());
  try {
    for await (const chunk of socket) {
      for (const message of unframer.push(chunk as Buffer)) {
        const reply = await answer(message);
        if (!reply) return;
        if (!socket.write(frame(reply))) await once(socket, 'drain', { signal: ended.signal });
      }
    }
  } catch {
    // A broken connection, or a question over the limit.
  } finally {
    clearTimeout(life);
    socket.destroy();
  }
}
