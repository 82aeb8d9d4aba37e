// Every answer the gateway gives on its own, in one table. Reference f.7.
import { STATUS_CODES } from '../lib/node-http.ts';
import type { ClientStream } from './client-stream.ts';

/**
 * An unknown host is undocumented on AWS, where DNS would not even resolve it: 404 with an empty body. A name that belongs to us but not
 * to the TLS session is 421, as RFC 9110, 15.5.20 has it. A wake that found no room is a wake that failed, which AWS answers 502; the
 * client learns when it makes sense to ask again.
 */
export const refusals = {
  malformed_request: { status: 400, body: 'Bad request' },
  port_malformed: { status: 400, body: 'Invalid port' },
  upgrade_unsupported: { status: 400, body: 'Unsupported upgrade' },
  token_missing: { status: 403, body: 'Request missing authentication' },
  shell_only: { status: 502, body: '' },
  port_denied: { status: 403, body: 'Access to port denied' },
  host_unknown: { status: 404, body: '' },
  request_timeout: { status: 408, body: '' },
  host_mismatch: { status: 421, body: '' },
  too_many_requests: { status: 429, body: 'Too many requests' },
  too_many_connections: { status: 429, body: 'Too many connections' },
  headers_too_large: { status: 431, body: '' },
  server_stopping: { status: 503, body: '', retryAfterSeconds: 5 },
  host_full: { status: 502, body: '', retryAfterSeconds: 5 },
  microvm_unavailable: { status: 502, body: '' },
  wake_timeout: { status: 502, body: '' },
  application_unreachable: { status: 502, body: '' },
  application_failed: { status: 502, body: '' },
} as const satisfies Record<string, { status: number; body: string; retryAfterSeconds?: number }>;

export type Refusal = keyof typeof refusals;

export interface RefusalContext {
  requestId: string;
  /** Adds the machine-readable reason. */
  explain: boolean;
  /** When to ask again, where that is known only now. */
  retryAfterSeconds?: number;
}

/** Headers of such an answer, as a flat list of names and values. */
export function refusalHeaders(refusal: Refusal, context: RefusalContext): string[] {
  const { requestId, explain } = context;
  const { body, ...rest } = refusals[refusal];
  const later = context.retryAfterSeconds ?? ('retryAfterSeconds' in rest ? rest.retryAfterSeconds : undefined);
  return [
    ...(later === undefined ? [] : ['retry-after', String(later)]),
    ...(body === '' ? [] : ['content-type', 'text/plain; charset=utf-8']),
    'content-length',
    String(Buffer.byteLength(body)),
    'cache-control',
    'private, no-store',
    'x-amzn-requestid',
    requestId,
    ...(explain ? ['x-waterbear-reason', refusal] : []),
  ];
}

/** Answers with `refusal`; nothing of an answer may have been sent before. */
export function refuse(client: ClientStream, refusal: Refusal, context: RefusalContext): void {
  if (client.isClosed) return;
  const { status, body } = refusals[refusal];
  const empty = body === '' || client.method === 'HEAD';
  client.respond(status, STATUS_CODES[status] ?? '', refusalHeaders(refusal, context), { empty, trailers: false });
  client.end(empty ? undefined : Buffer.from(body), []);
}
