// Odd requests and odd JSON over a bare socket, signed where it matters: always an answer that an SDK can read, never a 5xx.
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoArn } from '../../src/app/testing/test-app.ts';
import { ask, checkAnswer, outcome } from '../support/json-answer.ts';
import {
  exchange,
  parseAnswers,
  type RawAnswer,
  type RawRequest,
  requestBytes,
  signHeaders,
} from '../support/signed-request.ts';
import { type ControlPlaneRig, controlPlaneRig } from './control-plane-rig.ts';

const credentials = { accessKeyId: 'AKIAWATERBEAR', secretAccessKey: 'secret' };
const end = 'Host: x\r\nConnection: close\r\n\r\n';
let rig: ControlPlaneRig;
beforeAll(async () => {
  rig = await controlPlaneRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

const raw = (bytes: Uint8Array | string, bodiless = false): Promise<RawAnswer> => ask(rig.port, bytes, bodiless);

const signed = (request: RawRequest, more: string[] = []): Promise<RawAnswer> => {
  const headers = signHeaders(
    { ...request, headers: ['Connection', 'close', ...(request.headers ?? [])] },
    credentials,
  );
  return raw(requestBytes(request, [...headers, ...more]), request.method === 'HEAD');
};

const messageOf = (answer: RawAnswer): string => JSON.parse(answer.body).message;

test('HEAD has the headers of an answer and no body', async () => {
  const answer = await signed({ method: 'HEAD', path: '/2025-09-09/microvms' });
  expect(outcome(answer)).toBe('404 UnknownOperationException');
});

test.each([
  ['//', '404 UnknownOperationException'],
  ['/2025-09-09//microvms', '404 UnknownOperationException'],
  ['/2025-09-09/microvms/', '400 ValidationException'],
  ['/2025-09-09/microvms/%2F', '404 ResourceNotFoundException'],
  ['/2025-09-09/microvms/%00', '404 ResourceNotFoundException'],
  ['/2025-09-09/microvms/..', '404 ResourceNotFoundException'],
  ['/2025-09-09/microvms/%2e%2e%2f', '404 ResourceNotFoundException'],
  ['/2025-09-09/microvms/__proto__', '404 ResourceNotFoundException'],
  [`/2025-09-09/microvms/${'x'.repeat(257)}`, '400 ValidationException'],
  ['/2025-09-09/microvms/%', '400 SerializationException'],
  ['/2025-09-09/microvms/%ff', '400 '],
  ['/2025-09-09/microvm-images/demo', '400 ValidationException'],
  ['/2025-09-09/microvm-images/a/b/c/d/e', '404 UnknownOperationException'],
])('GET %s', async (path, expected) => {
  expect(outcome(await signed({ method: 'GET', path }))).toContain(expected);
});

test.each([
  ['maxResults=0', '400 ValidationException'],
  ['maxResults=51', '400 ValidationException'],
  ['maxResults=1e1', '400 SerializationException'],
  ['maxResults=', '400 SerializationException'],
  ['maxResults=9999999999', '400 SerializationException'],
  ['maxResults=50', '200 undefined'],
  ['maxResults=1&unknown=%FF', '200 undefined'],
  ['nextToken=%00', '400 ValidationException'],
])('ListMicrovms?%s', async (query, expected) => {
  expect(outcome(await signed({ method: 'GET', path: '/2025-09-09/microvms', query }))).toBe(expected);
});

const run = (body: string | Uint8Array, headers: string[] = []) =>
  signed({ method: 'POST', path: '/2025-09-09/microvms', body, headers });
const other = demoArn.replace('demo', 'nothing');
const withNumber = (number: string) => `{"imageIdentifier":"${other}","maximumDurationInSeconds":${number}}`;
const found = '404 ResourceNotFoundException';

test.each<[string, string | Uint8Array, string]>([
  ['nothing', '', '400 ValidationException'],
  ['null', 'null', '400 SerializationException'],
  ['a list', '[]', '400 SerializationException'],
  ['no JSON', '{', '400 SerializationException'],
  ['JSON and more', '{} {}', '400 SerializationException'],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), '400 SerializationException'],
  ['half a surrogate pair', String.raw`{"imageIdentifier":"\ud800"}`, '400 SerializationException'],
  ['the last of two equal keys', `{"imageIdentifier":"x","imageIdentifier":"${other}"}`, found],
  ['lists in lists in lists', '['.repeat(400_000), '400 SerializationException'],
  ['objects in objects', `{"logging":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`, '400 ValidationException'],
  ['a prototype', `{"__proto__":{"imageIdentifier":"${other}"}}`, '400 ValidationException'],
  ['a prototype beside', `{"imageIdentifier":"${other}","__proto__":1,"constructor":2}`, found],
  ['1e400', withNumber('1e400'), '400 SerializationException'],
  ['a fraction', withNumber('1.5'), '400 SerializationException'],
  ['a whole number in another form', withNumber('1e2'), found],
  ['more than 32 bits', withNumber('4294967296'), '400 SerializationException'],
  ['minus zero', withNumber('-0'), '400 ValidationException'],
  ['minus zero where zero may be', `{"imageIdentifier":"${other}","idlePolicy":${policy('-0')}}`, found],
  ['a number as text', withNumber('"60"'), '400 SerializationException'],
])('RunMicrovm with %s', async (_what, body, expected) => {
  expect(outcome(await run(body))).toBe(expected);
});

function policy(suspended: string): string {
  return `{"maxIdleDurationSeconds":60,"suspendedDurationSeconds":${suspended},"autoResumeEnabled":true}`;
}

test('a body is read as JSON whatever its type says, and is not read where none belongs', async () => {
  for (const type of ['text/plain', 'application/x-amz-json-1.1', 'application/json; charset=latin1']) {
    expect(outcome(await run(withNumber('60'), ['Content-Type', type]))).toBe(found);
  }
  const suspend = { method: 'POST', path: '/2025-09-09/microvms/nobody/suspend', body: 'no JSON' };
  expect(outcome(await signed(suspend))).toBe(found);
});

test('a page of mistakes is answered with the first ten', async () => {
  const resources = '{"architecture":"?"},'.repeat(40_000);
  const path = '/2025-09-09/microvm-images';
  const answer = await signed({ method: 'POST', path, body: `{"cpuConfigurations":[${resources.slice(0, -1)}]}` });
  expect(messageOf(answer)).toMatch(/^40004 validation errors detected: /);
  expect(answer.body.length).toBeLessThan(4000);
});

test('a changed byte, a header twice, a second Authorization', async () => {
  const request = { method: 'GET', path: '/2025-09-09/microvms' };
  const refused = '403 InvalidSignatureException';
  expect(outcome(await signed(request))).toBe('200 undefined');
  expect(outcome(await signed(request, ['host', 'localhost']))).toBe(refused);
  expect(outcome(await signed(request, ['X-Amz-Date', '20200101T000000Z']))).toBe('400 IncompleteSignatureException');
  expect(outcome(await signed(request, ['Authorization', 'x']))).toBe('400 IncompleteSignatureException');
  const headers = signHeaders({ ...request, headers: ['Connection', 'close'] }, credentials);
  expect(outcome(await raw(requestBytes({ ...request, query: 'maxResults=1' }, headers)))).toBe(refused);
});

test('pipelined requests are answered one by one', async () => {
  const one = { method: 'GET', path: '/2025-09-09/microvms' };
  const keep = requestBytes(one, signHeaders(one, credentials));
  const bytes = Buffer.concat([keep, keep, Buffer.from(`GET /nothing HTTP/1.1\r\n${end}`)]);
  const answers = parseAnswers(await exchange(rig.port, bytes));
  expect(answers.map(outcome)).toEqual(['200 undefined', '200 undefined', '404 UnknownOperationException']);
});

test('a body that does not come is answered and cut', async () => {
  await using slow = await controlPlaneRig({}, 50);
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const pieces: Buffer[] = [];
  const socket = connect(slow.port, '127.0.0.1');
  socket.on('data', (piece) => pieces.push(piece));
  socket.on('error', () => {});
  socket.on('close', () => resolve(Buffer.concat(pieces)));
  socket.write('POST /2025-09-09/microvms HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{');
  const [answer] = parseAnswers(await promise);
  checkAnswer(answer);
  expect(outcome(answer)).toBe('408 RequestTimeoutException');
});

test('on the way down, what comes on an open connection is answered like any other', async () => {
  const rig = await controlPlaneRig();
  const { promise, resolve } = Promise.withResolvers<Buffer>();
  const pieces: Buffer[] = [];
  const socket = connect(rig.port, '127.0.0.1');
  socket.on('data', (piece) => pieces.push(piece));
  socket.on('close', () => resolve(Buffer.concat(pieces)));
  const suspend = { method: 'POST', path: '/2025-09-09/microvms/nobody/suspend', body: '{}' };
  const list = { method: 'GET', path: '/2025-09-09/microvms' };
  const first = requestBytes(suspend, signHeaders(suspend, credentials));
  socket.write(first.subarray(0, -1));
  // An answer to another connection's later request says that the first part has been read.
  await exchange(rig.port, `GET /nothing HTTP/1.1\r\n${end}`);
  const closed = rig.controlPlane.close(5000);
  socket.write(Buffer.concat([first.subarray(-1), requestBytes(list, signHeaders(list, credentials))]));
  const answers = parseAnswers(await promise);
  await closed;
  await rig[Symbol.asyncDispose]();
  expect(answers.map(outcome)).toEqual(['404 ResourceNotFoundException', '200 undefined']);
});

test('an answer that comes too late is not written behind the one that says so', async () => {
  await using slow = await controlPlaneRig({}, 50);
  const late = Promise.withResolvers<{ items: [] }>();
  Object.assign(slow.t.app.operations, { ListMicrovms: () => late.promise });
  const list = { method: 'GET', path: '/2025-09-09/microvms' };
  const asked = exchange(slow.port, requestBytes(list, signHeaders(list, credentials)), { answers: 1 });
  const answers = parseAnswers(await asked);
  late.resolve({ items: [] });
  expect(answers.map(outcome)).toEqual(['408 RequestTimeoutException']);
  const [next] = parseAnswers(await exchange(slow.port, `GET /nothing HTTP/1.1\r\n${end}`));
  expect(outcome(next)).toBe('404 UnknownOperationException');
});

test('a client that asks for a tunnel and goes away does no harm', async () => {
  const errors: unknown[] = [];
  const remember = (error: unknown): void => void errors.push(error);
  process.on('uncaughtException', remember);
  for (let round = 0; round < 20; round++) {
    const { promise, resolve } = Promise.withResolvers<void>();
    const socket = connect(rig.port, '127.0.0.1', () => socket.write(`CONNECT x:1 HTTP/1.1\r\n${end}`));
    socket.once('data', () => {
      socket.write('more');
      socket.resetAndDestroy();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    await promise;
  }
  expect(outcome(await raw(`GET /nothing HTTP/1.1\r\n${end}`))).toBe('404 UnknownOperationException');
  process.off('uncaughtException', remember);
  expect(errors).toEqual([]);
});
