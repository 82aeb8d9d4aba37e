// The headers of an application's answer on their way to the client. Reference f.4; hop-by-hop: RFC 9110, 7.6.1.
import { withoutListed } from './request-head.ts';

export interface AnswerHead {
  /** For the client: flat, names as they came, or in lower case for HTTP/2. */
  forward: string[];
  /** -1 without `Content-Length`. */
  length: number;
  /** The answer has a framing of its own; otherwise it ends where its connection ends. */
  chunked: boolean;
}

/** `own`: dropped, for it concerns this hop or is set by us. */
const own = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'transfer-encoding',
  'upgrade',
  'x-amzn-requestid',
  ':status',
]);

/** Reads flat headers as undici and `node:http2` have them. */
export function readAnswerHead(raw: readonly (Buffer | string)[], requestId: string, lowerCase: boolean): AnswerHead {
  const forward: string[] = [];
  let [length, chunked, connection] = [-1, false, ''];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = text(raw[i]);
    const value = text(raw[i + 1]);
    const lower = name.toLowerCase();
    if (!own.has(lower)) {
      forward.push(lowerCase ? lower : name, value);
      if (lower === 'content-length') length = Number(value);
    } else if (lower === 'transfer-encoding') chunked = true;
    else if (lower === 'connection') connection = connection === '' ? value : `${connection},${value}`;
  }
  const kept = connection === '' ? forward : withoutListed(forward, connection);
  kept.push('x-amzn-requestid', requestId);
  return { forward: kept, length, chunked };
}

/** Header bytes are Latin-1, whatever they mean. */
const text = (part: Buffer | string | undefined): string =>
  typeof part === 'string' ? part : (part?.toString('latin1') ?? '');
