// curl as a client of an endpoint: bodies streamed both ways, and what it says of the connection.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { within } from '../../src/lib/deadline.ts';
import type { Guest, Place } from './clients-place.ts';

export interface CurlOrder {
  /** Of curl: protocol, headers, method … */
  args?: readonly string[];
  /** Of the application; default 8080. */
  port?: number;
  /** A body, sent as it is made. */
  body?: Iterable<Buffer>;
  /** Gets the answer's body piece by piece; without it, the answer has it as text. */
  onPiece?: (piece: Buffer) => void;
  /** Nothing of the answer is read before it resolves. */
  hold?: Promise<unknown>;
  /** Kills curl. */
  signal?: AbortSignal;
  timeoutMs?: number;
}

export interface CurlAnswer {
  /** 0: curl is content. https://curl.se/docs/manpage.html#EXIT */
  exitCode: number | null;
  status: number;
  /** `1.1` or `2`, between curl and the gateway. */
  version: string;
  bytesUp: number;
  /** Of the gateway, if it refused. */
  reason: string;
  body: string;
}

const facts = z.object({ http_code: z.number(), http_version: z.string(), size_upload: z.number() });

/** One request. Resolves when curl has ended, however; rejects at its deadline. */
export async function curl(place: Place, guest: Guest, path: string, order: CurlOrder = {}): Promise<CurlAnswer> {
  const { args = [], port = 8080, body, signal, timeoutMs = 60_000 } = order;
  const trust = ['--cacert', place.server.facts.caFile];
  const headers = ['-H', `X-aws-proxy-auth: ${guest.token}`, '-H', `X-aws-proxy-port: ${port}`];
  const tell = ['-w', '%{stderr}\n%header{x-waterbear-reason}\n%{json}'];
  const upload = body ? ['-T', '-'] : [];
  const all = ['-sS', '-N', ...trust, ...headers, ...tell, ...upload, ...args, `https://${guest.endpoint}${path}`];
  const child = spawn('curl', all, { stdio: ['pipe', 'pipe', 'pipe'], timeout: timeoutMs, killSignal: 'SIGKILL' });
  const stop = (): void => void child.kill('SIGKILL');
  signal?.addEventListener('abort', stop, { once: true });
  const ended = once(child, 'close') as Promise<[number | null]>;
  const said = { body: '', errors: '' };
  const read = (): void => {
    child.stdout.on('data', (piece: Buffer) => {
      if (order.onPiece) order.onPiece(piece);
      else said.body += piece;
    });
  };
  if (order.hold) order.hold.then(read, read);
  else read();
  child.stderr.on('data', (piece: Buffer) => {
    said.errors += piece;
  });
  // curl may stop reading when it has its answer.
  const sent = pipeline(Readable.from(body ?? []), child.stdin).catch(() => undefined);
  const [exitCode] = await within(timeoutMs + 5_000, `curl ${path}`, ended);
  signal?.removeEventListener('abort', stop);
  await sent;
  const [reason = '', last = ''] = said.errors.split('\n').slice(-2);
  const told = last.startsWith('{') ? facts.parse(JSON.parse(last)) : undefined;
  return {
    exitCode,
    reason,
    body: said.body,
    status: told?.http_code ?? 0,
    version: told?.http_version ?? '',
    bytesUp: told?.size_upload ?? 0,
  };
}
