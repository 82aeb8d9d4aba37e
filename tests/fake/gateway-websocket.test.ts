// WebSocket handshakes through the gateway. Reference f.6. The bytes behind the handshake are none of its business, so they are plain text here.
import { once } from 'node:events';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import { newClient, opened } from '../support/web-socket-client.ts';
import { type Rig, readAll, startRig, until } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

let rig: Rig;
/** Request headers as the application saw them. */
let seen: string[];
let select: string | undefined;
/** What the application sends behind its answer. */
let frames: string;
let application: Socket | undefined;
const idle = new WebSocketServer({ noServer: true });
const large = 8 * 1024 * 1024;
beforeEach(async () => {
  rig = await startRig();
  select = undefined;
  const server = await rig.app('vm', (_, res) => res.writeHead(418).end('no upgrade here'));
  server.on('upgrade', (req, socket: Socket) => {
    if (req.url === '/large')
      return void socket.end(`HTTP/1.1 418 No\r\nConnection: close\r\n\r\n${'x'.repeat(large)}`);
    if (req.url === '/refuse')
      return void socket.end('HTTP/1.1 418 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
    if (req.url === '/idle') {
      return void idle.handleUpgrade(req, socket, Buffer.alloc(0), (own) => {
        own.on('message', () => own.close(4321, 'enough'));
      });
    }
    if (req.url === '/frames') {
      const head = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
      return void socket.write(Buffer.from(`${head}${frames}`, 'latin1'));
    }
    seen = req.rawHeaders;
    application = socket;
    const chosen = select ? `Sec-WebSocket-Protocol: ${select}\r\n` : '';
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n${chosen}\r\nhello `,
    );
    socket.on('error', () => {});
    socket.on('data', (chunk) => socket.write(String(chunk).toUpperCase()));
    socket.on('end', () => socket.end());
  });
});
afterEach(() => rig[Symbol.asyncDispose]());

async function handshake(headers: Record<string, string>, behind = '', path = '/ws'): Promise<TLSSocket> {
  const socket = await rig.raw('vm');
  const all = {
    Host: hostOf('vm'),
    Connection: 'Upgrade',
    Upgrade: 'websocket',
    'Sec-WebSocket-Version': '13',
    ...headers,
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`GET ${path} HTTP/1.1\r\n${lines.join('')}\r\n${behind}`);
  return socket;
}

async function protocols(...more: string[]): Promise<Record<string, string>> {
  const token = await rig.token('vm');
  const offered = ['lambda-microvms', `lambda-microvms.authentication.${token}`, ...more];
  return { 'Sec-WebSocket-Protocol': offered.join(', ') };
}

/** Reads until `text` has come. */
async function read(socket: TLSSocket, text: string): Promise<string> {
  let all = '';
  socket.on('data', (chunk) => {
    all += chunk;
  });
  await until(() => all.includes(text));
  return all;
}

test('bytes pass both ways, those right behind the handshake too, and count as activity until both sides are closed', async () => {
  const socket = await handshake({ 'x-aws-proxy-auth': await rig.token('vm') }, 'early ');
  const answer = await read(socket, 'EARLY');
  expect(answer).toMatch(/^HTTP\/1.1 101 Switching Protocols\r\n/);
  expect(answer).toMatch(/x-amzn-requestid: /);
  expect(answer).toMatch(/\r\n\r\nhello EARLY/);
  expect(answer).not.toMatch(/sec-websocket-protocol/i);
  socket.write('late');
  await read(socket, 'LATE');
  expect(rig.plane.touches).toBeGreaterThan(0);
  expect(rig.plane.ended).toBe(0);
  socket.end();
  await once(socket, 'close');
  await until(() => rig.plane.ended === 1);
});

test('a browser authenticates by subprotocol; the platform values are removed, and its marker is selected', async () => {
  const socket = await handshake(await protocols('lambda-microvms.port.8080'));
  const answer = await read(socket, 'hello');
  expect(answer).toMatch(/Sec-WebSocket-Protocol: lambda-microvms\r\n/);
  expect(seen.map((name) => name.toLowerCase())).not.toContain('sec-websocket-protocol');
  expect(seen.join()).not.toContain('lambda-microvms');
  socket.destroy();
});

test('the application negotiates a subprotocol of its own', async () => {
  select = 'chat';
  const socket = await handshake(await protocols('chat', 'mail'));
  const answer = await read(socket, 'hello');
  expect(answer.match(/Sec-WebSocket-Protocol: .*/gi)).toEqual(['Sec-WebSocket-Protocol: chat']);
  expect(seen.join()).toContain('chat, mail');
  socket.destroy();
});

test('refusals are ordinary answers: no marker, no token, bad port, an application that does not upgrade', async () => {
  const good = await protocols();
  const unmarked = { 'Sec-WebSocket-Protocol': good['Sec-WebSocket-Protocol']?.replace('lambda-microvms, ', '') ?? '' };
  const cases: [Record<string, string>, string, string][] = [
    [unmarked, '/ws', '403'],
    [{}, '/ws', '403'],
    [await protocols('lambda-microvms.port.0'), '/ws', '400'],
    [await protocols('lambda-microvms.port.9'), '/ws', '502'],
    [good, '/refuse', '418'],
  ];
  for (const [headers, path, status] of cases) {
    const answer = await readAll(await handshake(headers, '', path));
    expect(answer.split(' ')[1]).toBe(status);
  }
  await until(() => rig.plane.ended === rig.plane.begun);
});

test('another upgrade is ignored, as HTTP allows', async () => {
  const socket = await handshake({ Upgrade: 'h2c', 'x-aws-proxy-auth': await rig.token('vm') });
  expect(await read(socket, 'no upgrade here')).toMatch(/^HTTP\/1.1 418 /);
  socket.destroy();
});

test('a side that breaks takes the other with it', async () => {
  const token = { 'x-aws-proxy-auth': await rig.token('vm') };
  const first = await handshake(token);
  await read(first, 'hello');
  const gone = application && once(application, 'close');
  first.destroy();
  await gone;
  const second = await handshake(token);
  await read(second, 'hello');
  application?.resetAndDestroy();
  await once(second, 'close');
  await until(() => rig.plane.ended === 2);
});

test('a leaving MicroVM says 1001 between two frames, cuts inside one, and adds nothing to a close', async () => {
  const token = { 'x-aws-proxy-auth': await rig.token('vm') };
  const farewell = '\x88\x29\x03\xe9The MicroVM was suspended or has ended.';
  const cases: [string, string][] = [
    ['\x81\x02hi', `\x81\x02hi${farewell}`],
    ['\x01\x01h\x89\x00', `\x01\x01h\x89\x00${farewell}`],
    ['', farewell],
    ['\x81\x05hi', '\x81\x05hi'],
    ['\x81', '\x81'],
    ['\x82\x7e\x01', '\x82\x7e\x01'],
    ['\x88\x02\x03\xe8', '\x88\x02\x03\xe8'],
  ];
  for (const [sent, heard] of cases) {
    frames = sent;
    const socket = await handshake(token, '', '/frames');
    let all = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      all += chunk;
    });
    const behind = (): string | undefined => all.split('\r\n\r\n')[1];
    await until(() => behind()?.length === sent.length);
    rig.plane.leave('vm');
    await once(socket, 'close');
    expect(behind()).toBe(heard);
  }
  await until(() => rig.plane.ended === rig.plane.begun);
});

test('two hundred idle WebSockets hear 1001 before they are cut, leave nothing open, and come back by one wake', async () => {
  const token = { 'x-aws-proxy-auth': await rig.token('vm') };
  const url = `wss://${hostOf('vm')}:${rig.port}/idle`;
  const all = await Promise.all(
    Array.from({ length: 200 }, () => opened(newClient({ url, ca: rig.ca, headers: token }))),
  );
  rig.plane.leave('vm');
  Object.assign(rig.plane.vms.get('vm') ?? {}, { asleep: true });
  const codes = await Promise.all(all.map((one) => one.closed()));
  expect(new Set(codes.map(({ code }) => code))).toEqual(new Set([1001]));
  await until(() => rig.plane.ended === 200 && rig.plane.connections.every((one) => one.destroyed));
  const again = await Promise.all(all.map(() => opened(newClient({ url, ca: rig.ca, headers: token }))));
  expect(rig.plane.wakes).toBe(1);
  for (const one of again) one.socket.terminate();
});

test('pings, pongs and close codes of the application pass untouched', async () => {
  const headers = { 'x-aws-proxy-auth': await rig.token('vm') };
  const url = `wss://${hostOf('vm')}:${rig.port}/idle`;
  const client = await opened(newClient({ url, ca: rig.ca, headers }));
  const pong = once(client.socket, 'pong');
  client.socket.ping('p');
  expect(String((await pong)[0])).toBe('p');
  client.socket.send('close');
  expect(await client.closed()).toEqual({ code: 4321, reason: 'enough' });
});

test('a long answer instead of an upgrade comes whole', async () => {
  const answer = await readAll(await handshake({ 'x-aws-proxy-auth': await rig.token('vm') }, '', '/large'));
  expect(answer.match(/x{100,}/g)?.join('').length).toBeGreaterThan(large - 100_000);
  expect(answer).toMatch(/0\r\n\r\n$/);
});

test('a client that leaves while its handshake is held stops waiting', async () => {
  let wakeUp = (): void => {};
  rig.plane.wake = new Promise((resolve) => {
    wakeUp = resolve;
  });
  Object.assign(rig.plane.vms.get('vm') ?? {}, { asleep: true });
  const socket = await handshake({ 'x-aws-proxy-auth': await rig.token('vm') });
  await until(() => rig.plane.waiting === 1);
  socket.end();
  await until(() => rig.plane.waiting === 0 && rig.plane.ended === 1);
  wakeUp();
});
