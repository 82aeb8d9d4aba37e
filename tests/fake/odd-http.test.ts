// Bytes that are no good HTTP, or HTTP that no SDK speaks: what the parser refuses is answered in AWS's form, too.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ask, outcome } from '../support/json-answer.ts';
import { type ControlPlaneRig, controlPlaneRig } from './control-plane-rig.ts';

const end = 'Host: x\r\nConnection: close\r\n\r\n';
let rig: ControlPlaneRig;
beforeAll(async () => {
  rig = await controlPlaneRig();
});
afterAll(() => rig[Symbol.asyncDispose]());

test.each([
  ['CONNECT', 'CONNECT localhost:443 HTTP/1.1\r\nHost: x\r\n\r\n', '400 SerializationException'],
  [
    'an upgrade',
    `GET /2025-09-09/microvms HTTP/1.1\r\nUpgrade: h2c\r\n${end}`,
    '403 MissingAuthenticationTokenException',
  ],
  [
    'no Host',
    'GET /2025-09-09/microvms HTTP/1.1\r\nConnection: close\r\n\r\n',
    '403 MissingAuthenticationTokenException',
  ],
  ['an expectation nobody knows', `GET /2025-09-09/microvms HTTP/1.1\r\nExpect: more\r\n${end}`, '403 Missing'],
  ['a method of WebDAV', `PROPFIND /2025-09-09/microvms HTTP/1.1\r\n${end}`, '404 UnknownOperationException'],
  ['an unknown method', `BREW /2025-09-09/microvms HTTP/1.1\r\n${end}`, '400 SerializationException'],
  ['OPTIONS', `OPTIONS * HTTP/1.1\r\n${end}`, '404 UnknownOperationException'],
  ['an address as for a proxy', `GET http://x/2025-09-09/microvms HTTP/1.1\r\n${end}`, '404 UnknownOperationException'],
  ['an address too long', `GET /${'x'.repeat(17_000)} HTTP/1.1\r\n${end}`, '400 SerializationException'],
  [
    'two lengths',
    `POST /2025-09-09/microvms HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n${end}`,
    '400 Serial',
  ],
  ['a length and chunks', `POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n${end}`, '400 Serial'],
  ['a folded header', `GET / HTTP/1.1\r\nA: b\r\n c\r\n${end}`, '40'],
  ['a NUL in a header', `GET / HTTP/1.1\r\nA: b\0c\r\n${end}`, '400 SerializationException'],
  ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', '400 SerializationException'],
  ['TLS', Buffer.from('16030100f8010000f40303', 'hex'), '400 SerializationException'],
  ['HTTP/1.0', 'GET /2025-09-09/microvms HTTP/1.0\r\n\r\n', '403 MissingAuthenticationTokenException'],
  ['HTTP/0.9', 'GET /2025-09-09/microvms\r\n\r\n', '403 MissingAuthenticationTokenException'],
  ['a version that does not exist', `GET /2025-09-09/microvms HTTP/1.2\r\n${end}`, '400 SerializationException'],
  ['TRACE', `TRACE /2025-09-09/microvms HTTP/1.1\r\n${end}`, '404 UnknownOperationException'],
  ['an address without a path', `GET http:// HTTP/1.1\r\n${end}`, '400 SerializationException'],
  ['an address with a blank', `GET /2025-09-09/microvms x HTTP/1.1\r\n${end}`, '400 SerializationException'],
  ['a request line cut short', 'GET /2025-09-09/microvms HT', '400 SerializationException'],
  ['a header cut short', 'GET /2025-09-09/microvms HTTP/1.1\r\nHo', '400 SerializationException'],
  ['a header without a name', `GET /2025-09-09/microvms HTTP/1.1\r\n: b\r\n${end}`, '400 SerializationException'],
  ['thousands of headers', `GET / HTTP/1.1\r\n${'a:\r\n'.repeat(3000)}${end}`, '400 SerializationException'],
  ['line feeds alone', 'GET / HTTP/1.1\nHost: x\nConnection: close\n\n', '400 SerializationException'],
  ['an expectation of failure', `POST /2025-09-09/microvms HTTP/1.1\r\nExpect: 417\r\n${end}`, '403 Missing'],
  ['an encoding nobody knows', `POST / HTTP/1.1\r\nTransfer-Encoding: banana\r\n${end}`, '400 Serial'],
  ['chunks, but not at last', `POST / HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n${end}0\r\n\r\n`, '400 Serial'],
  ['a length below zero', `POST / HTTP/1.1\r\nContent-Length: -1\r\n${end}`, '400 SerializationException'],
  ['a length that no machine has', `POST / HTTP/1.1\r\nContent-Length: ${'9'.repeat(20)}\r\n${end}`, '400 Serial'],
  [
    'trailers without end',
    `POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${end}0\r\n${'a: b\r\n'.repeat(4000)}\r\n`,
    '400 Serial',
  ],
  ['broken chunks', `POST /2025-09-09/microvms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n${end}zz\r\n`, '400 Serial'],
])('%s', async (_what, bytes, expected) => {
  expect(outcome(await ask(rig.port, bytes))).toContain(expected);
});
