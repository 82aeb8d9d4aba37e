// The client's request body on its way to the application: nothing is read before it is wanted, and never more than a buffer's worth.
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { Clock } from '../lib/clock.ts';

/** True when a body follows the headers. */
export function hasBody(req: IncomingMessage): boolean {
  return req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
}

/**
 * A stream of its own, because destroying `req` itself would close the client's connection before it saw an answer.
 * `onStart` runs before the first byte is asked for, `onBytes` for each piece.
 */
export function bodyOf(req: IncomingMessage, hooks: { onStart: () => void; onBytes: () => void }): Readable {
  let started = false;
  const take = (chunk: Buffer): void => {
    hooks.onBytes();
    if (!body.push(chunk)) req.pause();
  };
  const finish = (): void => {
    body.push(null);
  };
  const cut = (): void => {
    if (!req.complete) body.destroy(new Error('The client closed its connection.'));
  };
  const body = new Readable({
    read() {
      if (!started) hooks.onStart();
      started = true;
      req.resume();
    },
    destroy(error, callback) {
      req.off('data', take).off('end', finish).off('close', cut).pause();
      callback(error);
    },
  });
  body.on('error', () => {});
  req.pause();
  req.on('data', take).on('end', finish).on('close', cut);
  return body;
}

/**
 * After an answer that did not wait for the whole body: reads and drops the rest for a while, so that the client, still sending, is not
 * reset before it reads the answer; then closes.
 */
export function lingerOver(req: IncomingMessage, res: ServerResponse, lingerMs: number, clock: Clock): void {
  if (req.complete || req.socket.destroyed) return;
  req.on('error', () => {});
  req.resume();
  const timer = clock.after(lingerMs, () => req.socket.destroy());
  req.once('close', () => timer.cancel());
  req.once('end', () => timer.cancel());
  // A client that waits for `100 Continue` sends nothing more, and its next request could not be told from the body.
  if (req.headers.expect !== undefined) res.once('finish', () => req.socket.destroySoon());
}
