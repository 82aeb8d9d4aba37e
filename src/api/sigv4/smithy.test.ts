// What the SDK's own signer makes for the service `lambda`, in headers and presigned, against the verifier: any method, path, query, headers, body.
import { createHash, createHmac } from 'node:crypto';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isFault } from '../../lib/errors.ts';
import { ManualClock } from '../../lib/manual-clock.ts';
import type { SignedRequest } from './request.ts';
import { encodeUri } from './uri.ts';
import { type AccessKey, verify } from './verify.ts';

/** SHA-256, with a key HMAC, as the signer wants it. */
class Sha256 {
  readonly #hash;
  constructor(secret?: string | ArrayBuffer | ArrayBufferView) {
    if (secret === undefined) this.#hash = createHash('sha256');
    else this.#hash = createHmac('sha256', typeof secret === 'string' ? secret : bytesOf(secret));
  }
  update(chunk: string | ArrayBuffer | ArrayBufferView): void {
    this.#hash.update(typeof chunk === 'string' ? chunk : bytesOf(chunk));
  }
  async digest(): Promise<Uint8Array> {
    return this.#hash.digest();
  }
  reset(): void {}
}

const bytesOf = (data: ArrayBuffer | ArrayBufferView): Uint8Array =>
  data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const nowMs = Date.UTC(2026, 10, 22, 8, 0, 0);
const known: AccessKey = { secret: 'top/secret+', account: '111111111111' };
const temporary: AccessKey = { ...known, sessionToken: 'session/+=' };
const keys = new Map([
  ['AKIATEST', known],
  ['ASIATEST', temporary],
]);

const signer = (key: AccessKey = known) =>
  new SignatureV4({
    service: 'lambda',
    region: 'us-east-1',
    sha256: Sha256,
    credentials: {
      accessKeyId: key === known ? 'AKIATEST' : 'ASIATEST',
      secretAccessKey: key.secret,
      ...(key.sessionToken === undefined ? {} : { sessionToken: key.sessionToken }),
    },
  });

interface Plain {
  method: string;
  path: string;
  query: Record<string, string | string[]>;
  headers: Record<string, string>;
  body: string;
}

const plain: Plain = { method: 'GET', path: '/2025-09-09/microvms', query: {}, headers: {}, body: '' };
const outgoing = (request: Plain) => ({
  ...request,
  protocol: 'http:',
  hostname: 'localhost',
  headers: { host: 'localhost:9100', ...request.headers },
});

const queryText = (query: Record<string, unknown>): string =>
  Object.entries(query)
    .flatMap(([name, value]) => [value].flat().map((each) => `${encodeUri(name)}=${encodeUri(String(each))}`))
    .join('&');

const received = (signed: Pick<Plain, 'method' | 'path' | 'headers'> & { query?: object }, body: string) => ({
  method: signed.method,
  rawPath: signed.path,
  rawQuery: queryText({ ...signed.query }),
  rawHeaders: Object.entries(signed.headers).flat(),
  body: Buffer.from(body),
});

async function signedInHeaders(request: Plain, key = known): Promise<SignedRequest> {
  return received(await signer(key).sign(outgoing(request), { signingDate: new Date(nowMs) }), request.body);
}

async function presigned(request: Plain, expiresIn = 300, key = known): Promise<SignedRequest> {
  const options = { signingDate: new Date(nowMs), expiresIn };
  return received(await signer(key).presign(outgoing(request), options), request.body);
}

async function outcome(request: SignedRequest, atMs = nowMs): Promise<string> {
  const options = { clock: new ManualClock(atMs), regions: ['us-east-1'], services: ['lambda'] };
  try {
    return (await verify(request, (id) => keys.get(id), options)).account;
  } catch (error) {
    return isFault(error, 'access_denied') ? String(error.facts.awsError) : String(error);
  }
}

const accepted = known.account;
const segment = fc.stringMatching(/^[\w.~:/ %+*'()ü-]{1,12}$/).filter((text) => !/^\.+$/.test(text));
const request = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'DELETE'),
  path: fc.array(segment, { maxLength: 4 }).map((parts) => `/${parts.map(encodeURIComponent).join('/')}`),
  query: fc.dictionary(
    fc.stringMatching(/^[\w ü+/=-]{1,8}$/).filter((name) => name !== '__proto__'),
    fc.oneof(fc.stringMatching(/^[\w ü+/=&-]{0,8}$/), fc.array(fc.stringMatching(/^\w{1,3}$/), { minLength: 1 })),
    { maxKeys: 4 },
  ),
  headers: fc.dictionary(fc.stringMatching(/^[a-z]{1,4}-[a-z0-9]{1,6}$/), fc.stringMatching(/^\S( {0,3}[!-~]){0,8}$/), {
    maxKeys: 3,
  }),
  body: fc.string(),
});

describe.each([
  ['in headers', signedInHeaders],
  ['presigned', (plainRequest: Plain, key?: AccessKey) => presigned(plainRequest, 300, key)],
])('%s', (_form, sign) => {
  test('whatever is asked is accepted', async () => {
    await fc.assert(
      fc.asyncProperty(request, async (it) => {
        expect(await outcome(await sign(it))).toBe(accepted);
      }),
      { numRuns: 200 },
    );
  });

  test('a temporary key with its token; not without, not changed', async () => {
    const it = await sign(plain, temporary);
    expect(await outcome(it)).toBe(accepted);
    const other = JSON.parse(JSON.stringify({ ...it, body: undefined }).replaceAll(/session(\/|%2F)/g, 'sessioX$1'));
    expect(await outcome({ ...other, body: Buffer.alloc(0) })).toBe('InvalidSignatureException');
    expect(await outcome(await sign(plain, { ...known, sessionToken: 'x' }))).toBe('UnrecognizedClientException');
  });

  test('a changed body', async () => {
    const it = await sign({ ...plain, method: 'POST', body: '{"a":1}' });
    expect(await outcome({ ...it, body: Buffer.from('{"a":2}') })).toBe('InvalidSignatureException');
  });

  test('header names in upper case', async () => {
    const it = await sign({ ...plain, headers: { 'x-amz-meta': 'a  b' } });
    const rawHeaders = it.rawHeaders.map((text, i) => (i % 2 ? `  ${text} ` : text.toUpperCase()));
    expect(await outcome({ ...it, rawHeaders })).toBe(accepted);
  });
});

test('a presigned request lives for as long as it says, a week at most', async () => {
  const it = await presigned(plain, 60);
  expect(await outcome(it, nowMs + 60_000)).toBe(accepted);
  expect(await outcome(it, nowMs + 61_000)).toBe('InvalidSignatureException');
  expect(await outcome(it, nowMs - 16 * 60_000)).toBe('InvalidSignatureException');
  const change = (text: string) => ({ ...it, rawQuery: it.rawQuery.replace('Expires=60', `Expires=${text}`) });
  expect(await outcome(change('61'))).toBe('InvalidSignatureException');
  for (const bad of ['0', '604801', '-1', '1e3', '', 'x']) {
    expect(await outcome(change(bad))).toBe('IncompleteSignatureException');
  }
  const twice = { ...it, rawQuery: `${it.rawQuery}&X-Amz-Expires=60` };
  expect(await outcome(twice)).toBe('IncompleteSignatureException');
  const unsigned = { ...it, rawQuery: it.rawQuery.replace(/&?X-Amz-Signature=[0-9a-f]+/, '') };
  expect(await outcome(unsigned)).toBe('IncompleteSignatureException');
});

test('S3 alone has unsigned and streamed payloads', async () => {
  for (const said of ['UNSIGNED-PAYLOAD', 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD', 'STREAMING-UNSIGNED-PAYLOAD-TRAILER']) {
    const it = await signedInHeaders({ ...plain, method: 'POST', headers: { 'x-amz-content-sha256': said } });
    expect(await outcome(it)).toBe('InvalidSignatureException');
  }
});

test('skew is fifteen minutes, in the words of AWS', async () => {
  const it = await signedInHeaders(plain);
  for (const minutes of [-15, 15]) expect(await outcome(it, nowMs + minutes * 60_000)).toBe(accepted);
  const options = { regions: ['us-east-1'], services: ['lambda'] };
  const at = (ms: number) => verify(it, () => known, { ...options, clock: new ManualClock(ms) });
  await expect(at(nowMs + 16 * 60_000)).rejects.toThrow(
    'Signature expired: 20261122T080000Z is now earlier than 20261122T080100Z (20261122T081600Z - 15 min.)',
  );
  await expect(at(nowMs - 16 * 60_000)).rejects.toThrow(
    'Signature not yet current: 20261122T080000Z is still later than 20261122T075900Z (20261122T074400Z + 15 min.)',
  );
});
