// The real Lambda MicroVMs client against a tiny server that verifies with the service `lambda`, ARN in the path.
import { createServer, type Server } from 'node:http';
import { GetMicrovmImageCommand, LambdaMicrovmsClient, RunMicrovmCommand } from '@aws-sdk/client-lambda-microvms';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isFault } from '../../lib/errors.ts';
import { ManualClock } from '../../lib/manual-clock.ts';
import { signedRequest } from './request.ts';
import { type AccessKey, type Verified, verify } from './verify.ts';

const image = 'arn:aws:lambda:us-east-1:111111111111:microvm-image:demo';
const credentials = { accessKeyId: 'AKIATEST', secretAccessKey: 'secret/+=' };
const own = { secret: 'secret/+=', account: '111111111111' };
const known = new Map<string, AccessKey>([
  ['AKIATEST', own],
  ['ASIATEST', { ...own, sessionToken: 'a token' }],
]);
let server: Server;
let clock: ManualClock;
let endpoint: string;
let outcomes: (Verified | string)[];
let paths: string[];

beforeEach(async () => {
  clock = new ManualClock(Date.now());
  outcomes = [];
  paths = [];
  server = createServer(async (message, response) => {
    const pieces: Buffer[] = [];
    for await (const piece of message) pieces.push(piece);
    const request = signedRequest(message, Buffer.concat(pieces));
    paths.push(request.rawPath);
    const keys = (id: string) => known.get(id);
    try {
      outcomes.push(await verify(request, keys, { clock, regions: ['us-east-1'], services: ['lambda'] }));
      response.setHeader('content-type', 'application/json').end('{}');
    } catch (error) {
      const name = isFault(error, 'access_denied') ? String(error.facts.awsError) : `unexpected ${error}`;
      outcomes.push(name);
      response.writeHead(403, { 'x-amzn-errortype': name, 'content-type': 'application/json' }).end('{}');
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  endpoint = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
});
afterEach(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const client = (config: object = {}) =>
  new LambdaMicrovmsClient({ endpoint, region: 'us-east-1', credentials, maxAttempts: 1, ...config });

test('an ARN in the path, percent-encoded once on the wire and twice in the signature', async () => {
  await client().send(new GetMicrovmImageCommand({ imageIdentifier: image }));
  expect(paths[0]).toContain('arn%3Aaws%3Alambda');
  expect(outcomes[0]).toMatchObject({ account: '111111111111', service: 'lambda', region: 'us-east-1' });
});

test('a body, a session token, a query', async () => {
  const withToken = client({ credentials: { ...credentials, accessKeyId: 'ASIATEST', sessionToken: 'a token' } });
  await withToken.send(new RunMicrovmCommand({ imageIdentifier: image, runHookPayload: 'ü & <x>' }));
  expect(outcomes[0]).toMatchObject({ payload: { kind: 'hash' } });
});

test.each([
  ['a wrong secret', { credentials: { ...credentials, secretAccessKey: 'other' } }, 'InvalidSignatureException'],
  ['an unknown key', { credentials: { ...credentials, accessKeyId: 'AKIAOTHER' } }, 'UnrecognizedClientException'],
  ['a token nobody gave out', { credentials: { ...credentials, sessionToken: 'x' } }, 'UnrecognizedClientException'],
  [
    'another token',
    { credentials: { ...credentials, accessKeyId: 'ASIATEST', sessionToken: 'x' } },
    'UnrecognizedClientException',
  ],
  [
    'a temporary key without its token',
    { credentials: { ...credentials, accessKeyId: 'ASIATEST' } },
    'UnrecognizedClientException',
  ],
  ['a foreign region', { region: 'eu-west-1' }, 'InvalidSignatureException'],
  ['a client that is 16 minutes late', { systemClockOffset: -16 * 60_000 }, 'InvalidSignatureException'],
  ['a client that is 16 minutes early', { systemClockOffset: 16 * 60_000 }, 'InvalidSignatureException'],
])('%s', async (_, config, name) => {
  await expect(client(config).send(new GetMicrovmImageCommand({ imageIdentifier: image }))).rejects.toMatchObject({
    name,
  });
  expect(outcomes).toEqual([name]);
});

test('14 minutes of skew are accepted', async () => {
  await client({ systemClockOffset: -14 * 60_000 }).send(new GetMicrovmImageCommand({ imageIdentifier: image }));
  await client({ systemClockOffset: 14 * 60_000 }).send(new GetMicrovmImageCommand({ imageIdentifier: image }));
  expect(outcomes).toHaveLength(2);
});
