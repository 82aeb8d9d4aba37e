// Requests that two parsers could read in two ways: none of them reaches an application as more, or as something else, than the gateway saw.
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Rig, readAll, startRig } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

let rig: Rig;
let token = '';
/** Everything the application was sent. */
let heard = '';
let app: Server;
const sockets = new Set<Socket>();
beforeAll(async () => {
  rig = await startRig({ headersTimeoutMs: 1_000, lingerMs: 300 });
  app = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      heard += chunk.toString('latin1');
      if (/\r\n\r\n/.test(heard)) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  const address = app.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  rig.plane.vms.set('vm', { ports: new Map([[8080, port]]), asleep: false, autoResume: true });
  token = await rig.token('vm');
  // It is known to be plain: no probe among what is heard.
  await rig.ask('vm');
});
afterAll(async () => {
  await rig[Symbol.asyncDispose]();
  for (const socket of sockets) socket.destroy();
  app.close();
});
beforeEach(() => {
  heard = '';
});

/** Sends `text` with host and token put in, and returns the first status. */
async function say(text: string): Promise<string> {
  const socket = await rig.raw('vm');
  socket.write(text.replace('<host>', `Host: ${hostOf('vm')}\r\nx-aws-proxy-auth: ${token}`), 'latin1');
  const timer = setTimeout(() => socket.destroy(), 1_500);
  const answer = await readAll(socket);
  clearTimeout(timer);
  return answer.split(' ')[1] ?? 'cut';
}

test.each([
  ['two lengths that differ', 'POST / HTTP/1.1\r\n<host>\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
  ['two lengths in one', 'POST / HTTP/1.1\r\n<host>\r\nContent-Length: 1, 2\r\n\r\nab'],
  ['a length with a sign', 'POST / HTTP/1.1\r\n<host>\r\nContent-Length: +1\r\n\r\na'],
  ['a length in hexadecimal', 'POST / HTTP/1.1\r\n<host>\r\nContent-Length: 0x1\r\n\r\na'],
  [
    'length and chunks',
    'POST / HTTP/1.1\r\n<host>\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  ],
  [
    'chunks and length',
    'POST / HTTP/1.1\r\n<host>\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n',
  ],
  ['an unknown coding', 'POST / HTTP/1.1\r\n<host>\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n'],
  ['chunked, but not last', 'POST / HTTP/1.1\r\n<host>\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n'],
  ['a blank before the colon', 'POST / HTTP/1.1\r\n<host>\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n'],
  ['bare line feeds', 'GET / HTTP/1.1\n<host>\nX: 1\n\n'],
  ['a bare line feed in a header', 'GET / HTTP/1.1\r\n<host>\r\nX: 1\nY: 2\r\n\r\n'],
  ['a bare carriage return', 'GET / HTTP/1.1\r\n<host>\r\nX: 1\rY: 2\r\n\r\n'],
  ['a folded header', 'GET / HTTP/1.1\r\n<host>\r\nX: 1\r\n 2\r\n\r\n'],
  ['NUL in a header', 'GET / HTTP/1.1\r\n<host>\r\nX: a\0b\r\n\r\n'],
  ['NUL in the path', 'GET /\0 HTTP/1.1\r\n<host>\r\n\r\n'],
  ['a blank in the path', 'GET /a b HTTP/1.1\r\n<host>\r\n\r\n'],
  ['two hosts', `GET / HTTP/1.1\r\n<host>\r\nHost: ${hostOf('vm')}\r\n\r\n`],
  ['two hosts that differ', 'GET / HTTP/1.1\r\n<host>\r\nHost: other\r\n\r\n'],
  ['an absolute address', `GET http://${hostOf('vm')}/ HTTP/1.1\r\n<host>\r\n\r\n`],
  ['an address of another host', 'GET http://other/ HTTP/1.1\r\n<host>\r\n\r\n'],
  ['an asterisk', 'OPTIONS * HTTP/1.1\r\n<host>\r\n\r\n'],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['an unknown version', 'GET / HTTP/1.2\r\n<host>\r\n\r\n'],
  ['no version', 'GET /\r\n<host>\r\n\r\n'],
  ['a name with a blank', 'GET / HTTP/1.1\r\n<host>\r\nX Y: 1\r\n\r\n'],
  ['a chunk size that is none', 'POST / HTTP/1.1\r\n<host>\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n'],
  [
    'a chunk that ends elsewhere',
    'POST / HTTP/1.1\r\n<host>\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n',
  ],
])('%s: refused, and no whole request goes on', async (_, text) => {
  expect(await say(text)).toMatch(/^(400|408|502|cut)$/);
  // The head of a request may be on its way when its body turns out to be broken; then it never comes to its end.
  expect(heard).not.toMatch(/\r\n0\r\n\r\n/);
  expect(heard.match(/ HTTP\/1\.1\r\n/g)?.length ?? 0).toBeLessThanOrEqual(1);
});

test.each([
  [
    'a second request in a body',
    'POST / HTTP/1.1\r\n<host>\r\nContent-Length: 24\r\nConnection: close\r\n\r\nGET /second HTTP/1.1\r\n\r\n',
  ],
  ['the same length twice', 'POST / HTTP/1.1\r\n<host>\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na'],
  [
    'trailers with headers of ours',
    'POST / HTTP/1.1\r\n<host>\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nHost: other\r\nX-Amzn-RequestId: mine\r\n\r\n',
  ],
  [
    'a chunk extension',
    'POST / HTTP/1.1\r\n<host>\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\na\r\n0\r\n\r\n',
  ],
  [
    'Connection that lists the framing',
    'POST / HTTP/1.1\r\n<host>\r\nConnection: close, content-length, host\r\nContent-Length: 1\r\n\r\na',
  ],
])('%s: one request goes on, framed by us', async (_, text) => {
  await say(text);
  expect(heard.match(/^(?:GET|POST) \/ HTTP\/1\.1\r\n/g)?.length ?? 0).toBeLessThanOrEqual(1);
  const [head = '', body = ''] = heard.split(/\r\n\r\n(.*)/s);
  expect(head.match(/^host:/gim)?.length ?? 0).toBeLessThanOrEqual(1);
  expect(head.match(/^(content-length|transfer-encoding):/gim)?.length ?? 0).toBeLessThanOrEqual(1);
  expect(body).not.toMatch(/other|mine|a=b/);
});

test('trailers without end are cut off', async () => {
  const socket = await rig.raw('vm');
  const head = `POST / HTTP/1.1\r\nHost: ${hostOf('vm')}\r\nx-aws-proxy-auth: ${token}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n`;
  socket.on('error', () => {});
  socket.write(head);
  for (let i = 0; i < 2_000 && !socket.destroyed; i++) {
    socket.write(`X-${i}: ${'y'.repeat(500)}\r\n`);
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  if (!socket.destroyed) await once(socket, 'close');
  expect(heard).not.toMatch(/y{100}/);
});
