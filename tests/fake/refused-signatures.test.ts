// Signatures of `lambda` that are not accepted: AWS's error names and words, over HTTP.
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  exchange,
  parseAnswers,
  type RawRequest,
  requestBytes,
  type SigningOptions,
  signHeaders,
} from '../support/signed-request.ts';
import { type ControlPlaneRig, controlPlaneRig } from './control-plane-rig.ts';

const credentials = { accessKeyId: 'AKIAWATERBEAR', secretAccessKey: 'secret' };
const request: RawRequest = { method: 'GET', path: '/2025-09-09/microvms', headers: ['Connection', 'close'] };
let rig: ControlPlaneRig;
beforeAll(async () => {
  rig = await controlPlaneRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

interface Case {
  options?: SigningOptions;
  credentials?: Partial<typeof credentials>;
  /** Applied to the signed headers. */
  change?(headers: string[]): string[];
}

async function answerTo({
  options = {},
  credentials: other = {},
  change = (headers) => headers,
}: Case): Promise<string> {
  const headers = change(signHeaders(request, { ...credentials, ...other }, options));
  const [answer] = parseAnswers(await exchange(rig.port, requestBytes(request, headers)));
  return `${answer?.status} ${answer?.headers['x-amzn-errortype']} ${JSON.parse(answer?.body ?? '{}').message}`;
}

/** Changes the value of one header. */
const value = (name: string, change: (text: string) => string) => (headers: string[]) =>
  headers.map((text, i) => (headers[i - 1]?.toLowerCase() === name && i % 2 ? change(text) : text));
const authorization = (from: string | RegExp, to: string) => value('authorization', (text) => text.replace(from, to));
const without = (name: string) => (headers: string[]) =>
  headers.filter((_, i) => headers[i - (i % 2)]?.toLowerCase() !== name);
const minutesAgo = (minutes: number) => Date.now() - minutes * 60_000;

const incomplete = '400 IncompleteSignatureException';
const invalid = '403 InvalidSignatureException';
const mismatch = `${invalid} The request signature we calculated does not match the signature you provided.`;
const unrecognized = '403 UnrecognizedClientException The security token included in the request is invalid.';

test.each<[string, Case, string]>([
  [
    'none',
    { change: without('authorization') },
    '403 MissingAuthenticationTokenException Missing Authentication Token',
  ],
  [
    'empty',
    { change: value('authorization', () => '') },
    `${incomplete} The authorization mechanism is not supported.`,
  ],
  ['a password', { change: value('authorization', () => 'Basic YTpi') }, incomplete],
  ['of version 2', { change: value('authorization', () => 'AWS AKIAWATERBEAR:abc=') }, incomplete],
  ['of version 4a', { change: authorization('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256') }, incomplete],
  [
    'without a key',
    { change: authorization(/Credential=[^,]*, /, '') },
    `${incomplete} Authorization header requires 'Credential' parameter.`,
  ],
  [
    'with nothing',
    { change: authorization(/ .*/, ' a=b') },
    `${incomplete} Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter.`,
  ],
  [
    'with a part that has no name',
    { change: authorization(', ', ', x, ') },
    `${incomplete} 'x' not a valid key=value pair`,
  ],
  ['with a part twice', { change: authorization('Signature=', 'Signature=a, Signature=') }, incomplete],
  [
    'with too short a scope',
    { change: authorization('/us-east-1', '') },
    `${incomplete} Credential must have exactly 5`,
  ],
  ['another ending of the scope', { change: authorization('aws4_request', 'aws5') }, incomplete],
  [
    'without host among the headers',
    { change: authorization('host;', '') },
    `${incomplete} 'Host' must be a 'SignedHeader'`,
  ],
  ['headers not in order', { change: authorization('connection;host', 'host;connection') }, incomplete],
  ['headers in upper case', { change: authorization('host;', 'Host;') }, incomplete],
  [
    'a header that is not there',
    { change: authorization('host;', 'host;x-absent;') },
    incomplete.replace('400 Incomplete', '403 Invalid'),
  ],
  ['no date', { change: without('x-amz-date') }, `${incomplete} Authorization header requires existence of either`],
  ['a date in words', { change: value('x-amz-date', () => 'today') }, incomplete],
  ['a date that does not exist', { change: value('x-amz-date', () => '20261399T999999Z') }, incomplete],
  [
    'another date than its scope',
    { change: authorization(/\/\d{8}\//, '/20200101/') },
    `${invalid} Date in Credential scope does not match YYYYMMDD`,
  ],
  [
    'another region',
    { options: { region: 'eu-west-1' } },
    `${invalid} Credential should be scoped to a valid region, not 'eu-west-1'.`,
  ],
  [
    'another service',
    { options: { service: 'ec2' } },
    `${invalid} Credential should be scoped to correct service: 'lambda'.`,
  ],
  ['16 minutes old', { options: { nowMs: minutesAgo(16) } }, `${invalid} Signature expired: `],
  ['16 minutes early', { options: { nowMs: minutesAgo(-16) } }, `${invalid} Signature not yet current: `],
  ['of an unknown key', { credentials: { accessKeyId: 'AKIANOBODY' } }, unrecognized],
  ['of another secret', { credentials: { secretAccessKey: 'guess' } }, mismatch],
  ['with an unknown token', { change: (headers) => ['X-Amz-Security-Token', 'x', ...headers] }, unrecognized],
  [
    'two tokens',
    { change: (headers) => ['X-Amz-Security-Token', 'x', 'X-Amz-Security-Token', 'y', ...headers] },
    incomplete,
  ],
  [
    'in upper case',
    { change: value('authorization', (text) => text.replace(/[0-9a-f]{64}$/, (hex) => hex.toUpperCase())) },
    mismatch,
  ],
  ['cut short', { change: value('authorization', (text) => text.slice(0, -1)) }, mismatch],
  ['with one digit more', { change: value('authorization', (text) => `${text}0`) }, mismatch],
  ['of another host', { change: value('host', () => 'elsewhere') }, mismatch],
  [
    'over another body',
    { change: (headers) => ['x-amz-content-sha256', '0'.repeat(64), ...headers] },
    `${invalid} The x-amz-content-sha256 header`,
  ],
  ['unsigned payload', { change: (headers) => ['x-amz-content-sha256', 'UNSIGNED-PAYLOAD', ...headers] }, invalid],
])('a signature: %s', async (_what, it, expected) => {
  expect(await answerTo(it)).toContain(expected);
});

test('the same without a mistake, with names of headers in any case, more blanks and other separators', async () => {
  for (const change of [
    (headers: string[]) => headers,
    (headers: string[]) => headers.map((text, i) => (i % 2 ? `   ${text}  ` : text.toUpperCase())),
    (headers: string[]) => headers.map((text, i) => (i % 2 ? text : text.toLowerCase())),
    value('authorization', (text) => text.replaceAll(', ', ',')),
    value('authorization', (text) => text.replaceAll(', ', '  ,   ')),
  ]) {
    expect(await answerTo({ change })).toContain('200 undefined');
  }
});
