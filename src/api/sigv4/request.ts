// The part of an HTTP request that a signature covers, as it came over the wire: nothing decoded, no header dropped.
import { refuse } from './refusal.ts';

export interface SignedRequest {
  method: string;
  rawPath: string;
  /** Without the `?`. */
  rawQuery: string;
  /** Names and values alternating, as node:http has it in `rawHeaders`. */
  rawHeaders: readonly string[];
  /** The whole body, for services whose bodies are small; S3 streams its bodies and leaves this out. */
  body?: Uint8Array;
}

/** Takes what is signed out of a node:http request. */
export function signedRequest(
  message: { method?: string | undefined; url?: string | undefined; rawHeaders: readonly string[] },
  body?: Uint8Array,
): SignedRequest {
  const url = message.url ?? '/';
  const mark = url.indexOf('?');
  return {
    method: message.method ?? 'GET',
    rawPath: mark < 0 ? url : url.slice(0, mark),
    rawQuery: mark < 0 ? '' : url.slice(mark + 1),
    rawHeaders: message.rawHeaders,
    ...(body ? { body } : {}),
  };
}

/** Header values by lower-case name, in the order they came. */
export type Headers = ReadonlyMap<string, readonly string[]>;

export function collectHeaders(rawHeaders: readonly string[]): Headers {
  const headers = new Map<string, string[]>();
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = (rawHeaders[i] ?? '').toLowerCase();
    const values = headers.get(name);
    if (values) values.push(rawHeaders[i + 1] ?? '');
    else headers.set(name, [rawHeaders[i + 1] ?? '']);
  }
  return headers;
}

/** The value of a header that may occur once only: two would be read differently by signer and server. */
export function single(headers: Headers, name: string): string | undefined {
  const values = headers.get(name);
  if (values && values.length > 1) throw refuse('incomplete', `The header ${name} occurs more than once.`);
  return values?.[0]?.trim();
}
