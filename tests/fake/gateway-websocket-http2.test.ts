// WebSockets over HTTP/2 (RFC 8441). The bytes behind the handshake are none of the gateway's business, so they are plain text here.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Rig, startRig, until } from './gateway-rig.ts';
import { answerOf, askHttp2, openSession } from './http2-client.ts';

let rig: Rig;
let session: ClientHttp2Session;
let seen: string[];
let application: Socket | undefined;
let accept = '';
beforeEach(async () => {
  rig = await startRig();
  accept = '';
  const server = await rig.app('vm', (_, res) => res.writeHead(418).end('no upgrade here'));
  server.on('upgrade', (req, socket: Socket) => {
    if (req.url === '/refuse')
      return void socket.end('HTTP/1.1 418 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
    seen = req.rawHeaders;
    application = socket;
    const key = String(req.headers['sec-websocket-key']);
    const good = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    const lines = ['Connection: Upgrade', 'Upgrade: websocket', `Sec-WebSocket-Accept: ${accept || good}`];
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\nhello `);
    socket.on('error', () => {});
    socket.on('data', (chunk) => socket.write(String(chunk).toUpperCase()));
    socket.on('end', () => socket.end());
  });
  session = openSession(rig, 'vm');
  if (!session.remoteSettings.enableConnectProtocol) await once(session, 'remoteSettings');
});
afterEach(async () => {
  session.destroy();
  await rig[Symbol.asyncDispose]();
});

function connect(headers: OutgoingHttpHeaders): ClientHttp2Stream {
  const stream = session.request(
    { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/ws', 'sec-websocket-version': '13', ...headers },
    { endStream: false },
  );
  stream.on('error', () => {});
  return stream;
}

async function protocols(...more: string[]): Promise<OutgoingHttpHeaders> {
  const token = await rig.token('vm');
  return {
    'sec-websocket-protocol': ['lambda-microvms', `lambda-microvms.authentication.${token}`, ...more].join(', '),
  };
}

async function read(stream: ClientHttp2Stream, text: string): Promise<void> {
  let all = '';
  stream.on('data', (chunk) => {
    all += chunk;
  });
  await until(() => all.includes(text));
}

test('the gateway offers it', () => {
  expect(session.remoteSettings.enableConnectProtocol).toBe(true);
});

test('an extended CONNECT becomes an upgrade at the application, and the stream is the socket', async () => {
  const stream = connect(await protocols());
  const [headers] = await once(stream, 'response');
  expect(headers[':status']).toBe(200);
  expect(headers['sec-websocket-protocol']).toBe('lambda-microvms');
  expect(headers).not.toHaveProperty('sec-websocket-accept');
  expect(headers).not.toHaveProperty('upgrade');
  await read(stream, 'hello');
  stream.write('late');
  await read(stream, 'LATE');
  expect(seen.join()).not.toContain('lambda-microvms');
  expect(seen.map((name) => name.toLowerCase())).toContain('sec-websocket-key');
  expect(rig.plane.touches).toBeGreaterThan(0);
  expect(rig.plane.ended).toBe(0);
  stream.end();
  await once(stream, 'close');
  await until(() => rig.plane.ended === 1);
});

test('other requests share the connection meanwhile', async () => {
  const stream = connect(await protocols());
  await once(stream, 'response');
  expect((await askHttp2(rig, session, 'vm')).status).toBe(418);
  stream.destroy();
});

test('refusals are ordinary answers', async () => {
  const good = await protocols();
  const cases: [OutgoingHttpHeaders, number][] = [
    [{}, 403],
    [await protocols('lambda-microvms.port.0'), 400],
    [await protocols('lambda-microvms.port.9'), 502],
    [{ ...good, ':path': '/refuse' }, 418],
    [{ ...good, ':protocol': 'webtransport' }, 400],
  ];
  for (const [headers, status] of cases) expect((await answerOf(connect(headers))).status).toBe(status);
  const plain = session.request({ ':method': 'CONNECT', ':authority': 'vm.vm.localhost' });
  expect((await answerOf(plain)).status).toBe(400);
  await until(() => rig.plane.ended === rig.plane.begun);
});

test('an application that did not understand the handshake is not taken for one that did', async () => {
  accept = 'nonsense';
  await expect(answerOf(connect(await protocols()))).rejects.toThrow();
  await until(() => rig.plane.ended === rig.plane.begun);
});

test('a side that breaks takes the other with it', async () => {
  const first = connect(await protocols());
  await read(first, 'hello');
  const gone = application && once(application, 'close');
  first.close(8);
  await gone;
  const second = connect(await protocols());
  await read(second, 'hello');
  application?.resetAndDestroy();
  await once(second, 'close');
  expect(session.destroyed).toBe(false);
  await until(() => rig.plane.ended === 2);
});
