// Bare sockets and hostile input: a clear answer in AWS's form, never a 5xx.
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { errorAnswer } from '../../src/api/answer.ts';
import { handleCoreOperation } from '../../src/api/lambda-core/handle.ts';
import { handleOperation } from '../../src/api/lambda-microvms/handle.ts';
import { type ControlPlaneRig, controlPlaneRig } from './control-plane-rig.ts';

let rig: ControlPlaneRig;
beforeAll(async () => {
  rig = await controlPlaneRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

/** Sends bytes as they are; resolves with the answer's head and body. */
function raw(text: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect(rig.port, '127.0.0.1', () => socket.end(text));
  let answer = '';
  socket.setTimeout(5000, () => socket.destroy(new Error('no answer')));
  socket.on('data', (chunk) => {
    answer += chunk.toString('latin1');
  });
  socket.on('error', reject);
  socket.on('close', () => resolve(answer));
  return promise;
}

test.each([
  [
    'an unknown path',
    'GET /nothing HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    404,
    'UnknownOperationException',
  ],
  [
    'an unknown method',
    'OPTIONS /2025-09-09/microvms HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    404,
    'UnknownOperationException',
  ],
  [
    'an unencoded ARN with a slash',
    'GET /2025-09-09/microvm-images/arn:aws:x/y HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    404,
    'UnknownOperationException',
  ],
  [
    'no signature',
    'GET /2025-09-09/microvms HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    403,
    'MissingAuthenticationTokenException',
  ],
  [
    'a path that cannot be decoded',
    'GET /2025-09-09/microvms/%zz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n',
    400,
    'Exception',
  ],
  [
    'a body too large',
    `POST /2025-09-09/microvms HTTP/1.1\r\nhost: x\r\ncontent-length: 1048577\r\nconnection: close\r\n\r\n`,
    413,
    'RequestEntityTooLargeException',
  ],
  [
    'a body of another type',
    'POST /2025-09-09/microvms HTTP/1.1\r\nhost: x\r\ncontent-type: ;;;\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}',
    400,
    'SerializationException',
  ],
  ['no HTTP at all', 'hello\r\n\r\n', 400, 'SerializationException'],
  [
    'headers without end',
    `GET / HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`,
    400,
    'SerializationException',
  ],
])('%s', async (_what, request, status, name) => {
  const answer = await raw(request);
  expect(answer).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
  expect(answer).toMatch(new RegExp(`x-amzn-errortype: \\w*${name}`, 'i'));
  expect(answer).toMatch(/x-amzn-requestid: [0-9a-f-]{36}/i);
  expect(JSON.parse(answer.slice(answer.indexOf('{')))).toMatchObject({ message: expect.any(String) });
});

test('a body that does not come is not waited for', async () => {
  await using slow = await controlPlaneRig({}, 50);
  const { promise, resolve } = Promise.withResolvers<void>();
  const socket = connect(slow.port, '127.0.0.1').resume();
  socket.on('error', () => {});
  socket.on('close', () => resolve());
  socket.write('POST /2025-09-09/microvms HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{');
  await promise;
});

test('whatever JSON comes as the input, nothing is a 5xx', async () => {
  const { app } = rig.t;
  const identity = async () => ({ account: '123456789012', accessKeyId: 'k', region: 'us-east-1' });
  const members = [
    'name',
    'hooks',
    'idlePolicy',
    'resources',
    'codeArtifact',
    'allowedPorts',
    'tags',
    'imageIdentifier',
    'Tags',
    'Configuration',
    'clientToken',
    '__proto__',
  ];
  const body = fc.oneof(
    fc.string(),
    fc.json(),
    fc.dictionary(fc.constantFrom(...members), fc.jsonValue()).map((v) => JSON.stringify(v)),
  );
  const image = '/2025-09-09/microvm-images/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Amicrovm-image%3Anone';
  const call = fc.constantFrom(
    ['POST', '/2025-09-09/microvms'],
    ['POST', '/2025-09-09/microvm-images'],
    ['PUT', image],
    ['DELETE', image],
    ['PATCH', `${image}/versions/1.0`],
    ['DELETE', `${image}/versions/1.0`],
    ['GET', `${image}/versions`],
    ['GET', '/2025-09-09/managed-microvm-images/x/versions'],
    ['POST', '/2025-09-09/microvms/nobody/auth-token'],
    ['POST', '/2025-09-09/microvms/nobody/shell-auth-token'],
    ['POST', '/2017-03-31/tags/arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Amicrovm-image%3Anone'],
    ['DELETE', '/2017-03-31/tags/none'],
    ['POST', '/2026-04-04/network-connectors'],
    ['PUT', '/2026-04-04/network-connectors/none'],
  );
  await fc.assert(
    fc.asyncProperty(call, body, fc.string(), async ([method = '', rawPath = ''], text, rawQuery) => {
      const request = { method, rawPath, rawQuery, rawHeaders: [], body: Buffer.from(text) };
      const handled = handleOperation(app, identity, request) ?? handleCoreOperation(app, identity, request);
      const answer = await handled?.catch((error: unknown) => errorAnswer(error, 'r'));
      expect(answer?.status).toBeGreaterThanOrEqual(400);
      expect(answer?.status).toBeLessThan(500);
    }),
    { numRuns: 1500 },
  );
});
