// A request signed for tests that need control of every byte: what is signed is what is sent, however odd.
import { connect } from 'node:net';
import { formatAmzDate } from '../../src/api/sigv4/amz-date.ts';
import { canonicalRequest } from '../../src/api/sigv4/canonical.ts';
import { collectHeaders } from '../../src/api/sigv4/request.ts';
import { credentialScope, sha256Hex, sign, signingKey } from '../../src/api/sigv4/signing-key.ts';

export interface Credentials {
  accessKeyId: string;
  secretAccessKey: string;
}

export interface RawRequest {
  method: string;
  /** As sent: percent-encoded, or not. */
  path: string;
  query?: string;
  /** Names and values alternating. */
  headers?: readonly string[];
  body?: string | Uint8Array;
}

export interface SigningOptions {
  nowMs?: number;
  region?: string;
  service?: string;
  /** For `x-amz-content-sha256`, which is sent only then; what is signed is the hash of the body otherwise. */
  payload?: string | undefined;
}

/** Adds Host, X-Amz-Date, Content-Length and Authorization. All headers are signed. */
export function signHeaders(request: RawRequest, credentials: Credentials, options: SigningOptions = {}): string[] {
  const { nowMs = Date.now(), region = 'us-east-1', service = 'lambda', payload } = options;
  const { method, path: rawPath, query: rawQuery = '', headers: given = [], body = '' } = request;
  const bytes = Buffer.from(body);
  const amzDate = formatAmzDate(nowMs);
  const length = bytes.length > 0 ? ['Content-Length', String(bytes.length)] : [];
  const hash = payload === undefined ? [] : ['X-Amz-Content-Sha256', payload];
  const rawHeaders = ['Host', 'localhost', 'X-Amz-Date', amzDate, ...hash, ...length, ...given];
  const headers = collectHeaders(rawHeaders);
  const signedHeaders = [...headers.keys()].sort();
  const covered = { method, rawPath, rawQuery, rawHeaders, body: bytes };
  const payloadHash = payload ?? sha256Hex(bytes);
  const canonical = canonicalRequest({ request: covered, headers, service, signedHeaders, payloadHash });
  const scope = { date: amzDate.slice(0, 8), region, service };
  const key = signingKey(credentials.secretAccessKey, scope);
  const signature = sign(key, 'AWS4-HMAC-SHA256', amzDate, credentialScope(scope), sha256Hex(canonical));
  const authorization = [
    `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${credentialScope(scope)}`,
    `SignedHeaders=${signedHeaders.join(';')}`,
    `Signature=${signature}`,
  ];
  return [...rawHeaders, 'Authorization', authorization.join(', ')];
}

/** The same request as a presigned one: the signature is in its query, and covers no header but Host, which is the last. */
export function presigned(request: RawRequest, credentials: Credentials, options: SigningOptions = {}): RawRequest {
  const { nowMs = Date.now(), region = 'us-east-1', service = 'lambda', payload } = options;
  const { method, path: rawPath, query = '', headers: given = [], body = '' } = request;
  const bytes = Buffer.from(body);
  const amzDate = formatAmzDate(nowMs);
  const scope = { date: amzDate.slice(0, 8), region, service };
  const claim = new URLSearchParams({
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': `${credentials.accessKeyId}/${credentialScope(scope)}`,
    'X-Amz-Date': amzDate,
    'X-Amz-Expires': '300',
    'X-Amz-SignedHeaders': 'host',
  });
  const length = bytes.length > 0 ? ['Content-Length', String(bytes.length)] : [];
  const headers = [...length, ...given, 'Host', 'localhost'];
  const rawQuery = [query, claim].filter((part) => String(part) !== '').join('&');
  const canonical = canonicalRequest({
    request: { method, rawPath, rawQuery, rawHeaders: headers, body: bytes },
    headers: collectHeaders(headers),
    service,
    signedHeaders: ['host'],
    payloadHash: payload ?? sha256Hex(bytes),
  });
  const key = signingKey(credentials.secretAccessKey, scope);
  const signature = sign(key, 'AWS4-HMAC-SHA256', amzDate, credentialScope(scope), sha256Hex(canonical));
  return { ...request, headers, query: `${rawQuery}&X-Amz-Signature=${signature}` };
}

/** The bytes of a request with these headers. */
export function requestBytes({ method, path, query, body = '' }: RawRequest, headers: readonly string[]): Buffer {
  const target = query === undefined ? path : `${path}?${query}`;
  const lines = headers.flatMap((name, i) => (i % 2 ? [] : [`${name}: ${headers[i + 1]}\r\n`]));
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`), Buffer.from(body)]);
}

export interface RawAnswer {
  status: number;
  /** By lower-case name. */
  headers: Record<string, string>;
  body: string;
}

/** Splits a stream of answers; one that is cut short is left out. Throws when it is no HTTP. `bodiless` for answers to HEAD. */
export function parseAnswers(stream: Buffer, bodiless = false): RawAnswer[] {
  const answers: RawAnswer[] = [];
  for (let at = 0; at < stream.length; ) {
    const end = stream.indexOf('\r\n\r\n', at);
    if (end < 0) break;
    const [first = '', ...lines] = stream.toString('latin1', at, end).split('\r\n');
    const status = /^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1];
    if (status === undefined) throw new Error(`no HTTP: ${stream.toString('latin1', at, at + 300)}`);
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
    );
    const isEmpty = bodiless || status === '100' || status === '204' || status === '304';
    const from = end + 4;
    const isChunked = !isEmpty && headers['transfer-encoding'] === 'chunked';
    const length = isEmpty ? 0 : Number(headers['content-length'] ?? 0);
    const body = isChunked
      ? readChunks(stream, from)
      : { text: stream.toString('utf8', from, from + length), end: from + length };
    if (body === undefined || body.end > stream.length) break;
    at = body.end;
    if (status !== '100') answers.push({ status: Number(status), headers, body: body.text });
  }
  return answers;
}

/** A chunked body and where it ends; undefined when it is cut short. */
function readChunks(stream: Buffer, from: number): { text: string; end: number } | undefined {
  let text = '';
  for (let at = from; ; ) {
    const line = stream.indexOf('\r\n', at);
    const size = line < 0 ? Number.NaN : Number.parseInt(stream.toString('latin1', at, line), 16);
    const end = line + 2 + size + 2;
    if (Number.isNaN(size) || end > stream.length) return undefined;
    text += stream.toString('utf8', line + 2, end - 2);
    at = end;
    if (size === 0) return { text, end };
  }
}

export interface ExchangeOptions {
  deadlineMs?: number;
  /** Closes after so many answers; 0: says at once that nothing more comes, and waits for the other side to close. */
  answers?: number;
  bodiless?: boolean;
}

/** Sends bytes on a connection of their own; resolves with all that came back. */
export function exchange(port: number, bytes: Uint8Array | string, options: ExchangeOptions = {}): Promise<Buffer> {
  const { deadlineMs = 10_000, answers = 0, bodiless = false } = options;
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  let received = Buffer.alloc(0);
  const socket = connect(port, '127.0.0.1', () => (answers === 0 ? socket.end(bytes) : socket.write(bytes)));
  const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${deadlineMs} ms`)), deadlineMs);
  socket.on('data', (piece) => {
    received = Buffer.concat([received, piece]);
    if (answers > 0 && parseAnswers(received, bodiless).length >= answers) socket.destroy();
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    // Cut after an answer, because more was sent than was wanted.
    if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
  });
  socket.on('close', () => {
    clearTimeout(timer);
    resolve(received);
  });
  return promise;
}
