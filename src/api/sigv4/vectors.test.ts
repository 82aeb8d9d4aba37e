// Signatures that AWS published with its Signature Version 4 test suite, and one change to each request that must break it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
import { expect, test } from 'vitest';
import { isFault } from '../../lib/errors.ts';
import { ManualClock } from '../../lib/manual-clock.ts';
import type { SignedRequest } from './request.ts';
import { verify } from './verify.ts';

const key = { secret: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY', account: '111111111111' };
const clock = new ManualClock(Date.UTC(2015, 7, 30, 12, 36, 0));
const options = { clock, regions: ['us-east-1'], services: ['service'] };

interface Vector {
  method?: string;
  path?: string;
  query?: string;
  /** Names and values beside Host and X-Amz-Date. */
  headers?: string[];
  signed?: string;
  body?: string;
  signature: string;
}

const vanilla = '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31';
const vectors: Record<string, Vector> = {
  'get-vanilla': { signature: vanilla },
  'get-slash': { path: '//', signature: vanilla },
  'get-slash-dot-slash': { path: '/./', signature: vanilla },
  'get-relative': { path: '/example/..', signature: vanilla },
  'get-vanilla-query-order-key-case': {
    query: 'Param2=value2&Param1=value1',
    signature: 'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
  },
  'post-vanilla': {
    method: 'POST',
    signature: '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
  },
  'get-header-value-trim': {
    headers: ['My-Header1', ' value1', 'My-Header2', ' "a   b   c"'],
    signed: 'host;my-header1;my-header2;x-amz-date',
    signature: 'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736',
  },
  'get-header-key-duplicate': {
    headers: ['My-Header1', 'value2', 'My-Header1', 'value2', 'My-Header1', 'value1'],
    signed: 'host;my-header1;x-amz-date',
    signature: 'c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea',
  },
  'get-unreserved': {
    path: '/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz',
    signature: '07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f',
  },
  'post-x-www-form-urlencoded': {
    method: 'POST',
    headers: ['Content-Type', 'application/x-www-form-urlencoded'],
    signed: 'content-type;host;x-amz-date',
    body: 'Param1=value1',
    signature: 'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
  },
};

function requestOf({ method = 'GET', path = '/', query = '', headers = [], signed, body = '', signature }: Vector) {
  const authorization = [
    'AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request',
    `SignedHeaders=${signed ?? 'host;x-amz-date'}`,
    `Signature=${signature}`,
  ].join(', ');
  const fixed = ['Host', 'example.amazonaws.com', 'X-Amz-Date', '20150830T123600Z', 'Authorization', authorization];
  return { method, rawPath: path, rawQuery: query, rawHeaders: [...headers, ...fixed], body: Buffer.from(body) };
}

async function outcome(request: SignedRequest): Promise<string> {
  try {
    return (await verify(request, (id) => (id === 'AKIDEXAMPLE' ? key : undefined), options)).account;
  } catch (error) {
    return isFault(error, 'access_denied') ? String(error.facts.awsError) : String(error);
  }
}

test.each(Object.entries(vectors))('%s', async (_name, vector) => {
  const request = requestOf(vector);
  expect(await outcome(request)).toBe('111111111111');
  const refused = 'InvalidSignatureException';
  expect(await outcome({ ...request, method: 'PUT' })).toBe(refused);
  expect(await outcome({ ...request, rawPath: `${request.rawPath}x` })).toBe(refused);
  expect(await outcome({ ...request, rawQuery: `${request.rawQuery}&x` })).toBe(refused);
  expect(await outcome({ ...request, body: Buffer.from(`${request.body} `) })).toBe(refused);
  expect(await outcome({ ...request, rawHeaders: [...request.rawHeaders, 'Host', 'other'] })).toBe(refused);
});
