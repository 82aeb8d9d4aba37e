// The application over HTTP, of either version: state, bodies both ways, events, and clients that leave.
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { cancelled } from './echo-service.ts';
import { pattern } from './pattern.ts';

type Request = IncomingMessage | Http2ServerRequest;
/** What the answers of both versions have. */
type Response = Writable & { statusCode: number; setHeader(name: string, value: string): unknown };

const state = { count: 0, note: '' };
/** Bytes of the last `/pattern`. */
let sent = 0;
/** Requests whose client left, by their query. */
const left: string[] = [];
/** Responses of `/events` that go on. */
const listeners = new Set<Response>();

const json = (res: Response, value: unknown): void => {
  res.setHeader('content-type', 'application/json');
  res.end(JSON.stringify(value));
};

export function answer(req: Request, res: Response): void {
  const { pathname, search } = new URL(req.url ?? '/', 'http://localhost');
  const route = routes[pathname];
  if (route === undefined) {
    res.statusCode = 404;
    res.end();
    return;
  }
  Promise.resolve(route(req, res, search.slice(1))).catch(() => res.destroy());
}

type Route = (req: Request, res: Response, query: string) => void | Promise<void>;

const routes: Readonly<Record<string, Route>> = {
  '/'(_, res) {
    state.count += 1;
    json(res, state);
  },
  '/note'(_, res, query) {
    state.note = query;
    json(res, state);
  },
  '/version': (req, res) => json(res, { version: req.httpVersion, secure: 'encrypted' in req.socket }),
  async '/hash'(req, res) {
    const hash = createHash('blake2b512');
    let bytes = 0;
    for await (const piece of req as AsyncIterable<Buffer>) {
      hash.update(piece);
      bytes += piece.length;
    }
    json(res, { bytes, hash: hash.digest('hex') });
  },
  async '/pattern'(_, res, query) {
    sent = 0;
    const counted = pattern(Number(query), (piece) => {
      sent += piece.length;
    });
    await pipeline(Readable.from(counted, { highWaterMark: 1 }), res);
  },
  '/sent': (_, res) => json(res, sent),
  '/events'(_, res) {
    res.setHeader('content-type', 'text/event-stream');
    res.write('data: first\n\n');
    listeners.add(res);
    res.once('close', () => listeners.delete(res));
  },
  '/event'(_, res, query) {
    for (const listener of listeners) {
      listener.write(`data: ${query}\n\n`);
      if (query === 'last') listener.end();
    }
    json(res, listeners.size);
  },
  '/hang'(_, res, query) {
    // As soon as it is here, it can be seen that it is.
    left.push(`${query} came`);
    res.once('close', () => left.push(`${query} left`));
  },
  '/left': (_, res) => json(res, { left, cancelled: cancelled.count }),
  '/break'(req, res) {
    res.setHeader('content-length', '1000000');
    res.write('x'.repeat(1_000));
    setTimeout(() => {
      if ('stream' in req) req.stream.close(2);
      else req.socket.resetAndDestroy();
    }, 300);
  },
};
