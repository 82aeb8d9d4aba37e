// Requests signed by the real S3 client are accepted as they are and refused after any change.
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fault } from '../../lib/errors.ts';
import { ManualClock } from '../../lib/manual-clock.ts';
import { formatAmzDate } from './amz-date.ts';
import { canonicalRequest } from './canonical.ts';
import { collectHeaders, type SignedRequest } from './request.ts';
import { credentialScope, sha256Hex, sign, signingKey } from './signing-key.ts';
import { type AccessKey, verify } from './verify.ts';

const testKey = { accessKeyId: 'AKIATEST', secretAccessKey: 'test-secret' };

interface Outgoing {
  method: string;
  path: string;
  query: Record<string, string | string[] | null>;
  headers: Record<string, string>;
}

/** A PutObject with metadata and a session token, signed by the SDK for us-east-1. */
async function captureS3Put(body: string): Promise<SignedRequest> {
  let caught: Outgoing | undefined;
  const requestHandler = {
    async handle(request: Outgoing): Promise<never> {
      caught = request;
      throw new Error('caught');
    },
  };
  const client = new S3Client({
    endpoint: 'http://127.0.0.1:9',
    region: 'us-east-1',
    credentials: { ...testKey, sessionToken: 'session' },
    forcePathStyle: true,
    maxAttempts: 1,
    requestHandler,
  });
  const put = new PutObjectCommand({ Bucket: 'bucket', Key: 'a/../b c', Body: body, Metadata: { m: 'two  blanks' } });
  await client.send(put).catch((error: Error) => {
    if (error.message !== 'caught') throw error;
  });
  if (!caught) throw new Error('the client sent nothing');
  const { method, path, query, headers } = caught;
  const rawQuery = new URLSearchParams(
    Object.entries(query).map(([name, value]): [string, string] => [name, `${value ?? ''}`]),
  );
  return { method, rawPath: path, rawQuery: `${rawQuery}`, rawHeaders: Object.entries(headers).flat() };
}

const request = await captureS3Put('the body');
const clock = new ManualClock(Date.now());
const key: AccessKey = { secret: testKey.secretAccessKey, account: '111111111111', sessionToken: 'session' };
const options = { clock, regions: ['us-east-1'], services: ['s3'] };
const lookup = (id: string): AccessKey | undefined => (id === testKey.accessKeyId ? key : undefined);

async function outcome(changed: Partial<SignedRequest>, more: object = {}, keys = lookup): Promise<unknown> {
  try {
    return (await verify({ ...request, ...changed }, keys, { ...options, ...more })).account;
  } catch (error) {
    return error instanceof Fault ? error.facts.refusal : error;
  }
}

const headerIndex = (name: string): number =>
  request.rawHeaders.findIndex((each, i) => i % 2 === 0 && each.toLowerCase() === name);
function withHeader(name: string, change: (value: string) => string): string[] {
  const headers = [...request.rawHeaders];
  const at = headerIndex(name) + 1;
  headers[at] = change(headers[at] ?? '');
  return headers;
}
const withAuthorization = (from: RegExp, to: string) => ({
  rawHeaders: withHeader('authorization', (v) => v.replace(from, to)),
});

test('what the SDK signed is accepted', async () => {
  expect(await outcome({})).toBe('111111111111');
});

test('header names in other case, blanks around values, another order of headers and query make no difference', async () => {
  const pairs = request.rawHeaders.flatMap((name, i) =>
    i % 2 ? [] : [[name.toUpperCase(), ` ${request.rawHeaders[i + 1]} `]],
  );
  expect(await outcome({ rawHeaders: pairs.reverse().flat() })).toBe('111111111111');
  expect(await outcome({ rawQuery: request.rawQuery.split('&').reverse().join('&') })).toBe('111111111111');
});

test('any change to what is signed is refused', async () => {
  const signedNames =
    /SignedHeaders=([^,]+)/.exec(request.rawHeaders[headerIndex('authorization') + 1] ?? '')?.[1]?.split(';') ?? [];
  expect(signedNames.length).toBeGreaterThan(4);
  const changed = fc.oneof(
    fc.constantFrom('GET', 'DELETE', 'POST', 'put').map((method) => ({ method })),
    fc.webPath().map((rawPath) => ({ rawPath })),
    fc
      .nat(request.rawPath.length)
      .map((at) => ({ rawPath: `${request.rawPath.slice(0, at)}x${request.rawPath.slice(at)}` })),
    fc.webQueryParameters().map((rawQuery) => ({ rawQuery })),
    fc.constantFrom(...signedNames).map((name) => ({ rawHeaders: withHeader(name, (value) => `${value}1`) })),
    fc.constantFrom(...signedNames).map((name) => ({ rawHeaders: request.rawHeaders.toSpliced(headerIndex(name), 2) })),
    fc.constantFrom(...signedNames).map((name) => ({ rawHeaders: [...request.rawHeaders, name, 'again'] })),
    fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => withAuthorization(/[0-9a-f]{64}$/, hex)),
    fc.nat(63).map((at) => withAuthorization(new RegExp(`.(?=.{${at}}$)`), 'g')),
  );
  await fc.assert(
    fc.asyncProperty(changed, async (change) => {
      const isSame = Object.entries(change).every(([name, value]) => Object.is(Reflect.get(request, name), value));
      fc.pre(!isSame);
      const result = await outcome(change);
      expect(result).toBeTypeOf('string');
      expect(result).not.toBe('111111111111');
    }),
    { numRuns: 200 },
  );
});

test('nothing in the Authorization header makes the verifier fail in another way than by refusing', async () => {
  const at = headerIndex('authorization') + 1;
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.boolean(), fc.string(), fc.string(), async (text, isScheme, path, query) => {
      const rawHeaders = request.rawHeaders.with(at, isScheme ? `AWS4-HMAC-SHA256 ${text}` : text);
      expect(await outcome({ rawHeaders, rawPath: `/${path}`, rawQuery: query })).toBeTypeOf('string');
      expect(await outcome({ rawPath: `/${path}%`, rawQuery: query })).toBeTypeOf('string');
    }),
  );
});

test.each([
  ['missing', { rawHeaders: [] }],
  ['missing', { rawHeaders: ['Host', 'x'] }],
  ['mechanism', { rawHeaders: ['Authorization', 'AWS AKIATEST:abc'] }],
  ['mechanism', { rawQuery: 'X-Amz-Signature=abc' }],
  ['incomplete', withAuthorization(/SignedHeaders=[^,]+, /, '')],
  ['incomplete', withAuthorization(/host;/, '')],
  ['incomplete', withAuthorization(/\/aws4_request/, '')],
  ['incomplete', { rawHeaders: withHeader('x-amz-date', () => 'yesterday') }],
  ['scope', withAuthorization(/\/\d{8}\//, '/20200101/')],
  ['scope', withAuthorization(/us-east-1/, 'eu-west-1')],
  ['scope', withAuthorization(/\/s3\//, '/lambda/')],
  ['key', withAuthorization(/AKIATEST/, 'AKIANOBODY')],
  ['unsigned_header', { rawHeaders: [...request.rawHeaders, 'x-amz-meta-extra', '1'] }],
  ['incomplete', { rawHeaders: [...request.rawHeaders, 'Authorization', 'again'] }],
])('%s', async (refusal, change) => {
  expect(await outcome(change)).toBe(refusal);
});

test('too old, too new, a given body that differs, a key with another session token', async () => {
  const minutes = (n: number) => ({ clock: new ManualClock(Date.now() + n * 60_000) });
  expect(await outcome({}, minutes(16))).toBe('skew');
  expect(await outcome({}, minutes(-16))).toBe('skew');
  expect(await outcome({ body: Buffer.from('the body') })).toBe('111111111111');
  expect(await outcome({ body: Buffer.from('the Body') })).toBe('payload');
  expect(await outcome({}, {}, () => ({ ...key, sessionToken: 'other' }))).toBe('token');
  expect(await outcome({}, {}, () => ({ secret: key.secret, account: key.account }))).toBe('token');
  expect(await outcome({}, {}, () => ({ ...key, secret: 'other' }))).toBe('signature');
});

test('a Date header serves where there is no x-amz-date', async () => {
  const nowMs = Math.floor(clock.now() / 1000) * 1000;
  const amzDate = formatAmzDate(nowMs);
  const claim = { date: amzDate.slice(0, 8), region: 'us-east-1', service: 's3' };
  const rawHeaders = ['Host', 'h', 'Date', new Date(nowMs).toUTCString(), 'x-amz-content-sha256', 'UNSIGNED-PAYLOAD'];
  const signedHeaders = ['date', 'host', 'x-amz-content-sha256'];
  const dated = { method: 'GET', rawPath: '/b/k', rawQuery: '', rawHeaders };
  const headers = collectHeaders(rawHeaders);
  const text = canonicalRequest({
    request: dated,
    headers,
    service: 's3',
    signedHeaders,
    payloadHash: 'UNSIGNED-PAYLOAD',
  });
  const scope = credentialScope(claim);
  const signature = sign(signingKey(key.secret, claim), 'AWS4-HMAC-SHA256', amzDate, scope, sha256Hex(text));
  const authorization = `AWS4-HMAC-SHA256 Credential=AKIATEST/${scope}, SignedHeaders=${signedHeaders.join(';')}, Signature=${signature}`;
  const permanent = () => ({ secret: key.secret, account: key.account });
  const signedOnce = { ...dated, rawHeaders: [...rawHeaders, 'Authorization', authorization] };
  expect(await outcome(signedOnce, {}, permanent)).toBe('111111111111');
  expect(await outcome(signedOnce)).toBe('token');
  const later = rawHeaders.with(3, new Date(nowMs + 1000).toUTCString());
  expect(await outcome({ ...dated, rawHeaders: [...later, 'Authorization', authorization] })).toBe('signature');
});
