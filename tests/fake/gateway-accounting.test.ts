// What requests leave behind, and how those under way end when their token is revoked.
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { place } from '../../src/contract/traffic.ts';
import { type Rig, readAll, startRig, until } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

let rig: Rig;
/** `x-amzn-requestid` as the application saw it, by path. */
let seen: Map<string, unknown>;
let upgraded: Socket[];

beforeEach(async () => {
  rig = await startRig();
  [seen, upgraded] = [new Map(), []];
  const server = await rig.app('vm', (req, res) => {
    seen.set(req.url ?? '', req.headers['x-amzn-requestid']);
    if (req.url === '/stream') return void res.write('first ');
    req.resume().once('end', () => res.writeHead(req.url === '/bad' ? 500 : 200).end('12345'));
  });
  server.on('upgrade', (req, socket: Socket) => {
    seen.set(req.url ?? '', req.headers['x-amzn-requestid']);
    upgraded.push(socket);
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello');
  });
});
afterEach(() => rig[Symbol.asyncDispose]());

async function webSocket(token: string, path = '/ws'): Promise<TLSSocket> {
  const socket = await rig.raw('vm');
  const headers = `Host: ${hostOf('vm')}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13`;
  socket.write(`GET ${path} HTTP/1.1\r\n${headers}\r\nx-aws-proxy-auth: ${token}\r\n\r\n`);
  await once(socket, 'data');
  return socket;
}

function http2(): ClientHttp2Session {
  const address = { host: '127.0.0.1', port: rig.port, servername: hostOf('vm'), ca: rig.ca, ALPNProtocols: ['h2'] };
  const session = connectHttp2(`https://${hostOf('vm')}`, { createConnection: () => connectTls(address) });
  session.on('error', () => {});
  return session;
}

const logText = (): Promise<string> => readFile(rig.accessLog, 'utf8');
const tokenIdOf = async (token: string): Promise<string> => (await rig.tokens.claimsOf(token))?.jti ?? '';

test('one id for the application, the client and the record, which says what happened', async () => {
  const token = await rig.token('vm');
  const headers = { 'x-aws-proxy-auth': token, 'x-amzn-requestid': 'forged' };
  const answer = await rig.ask('vm', { method: 'POST', path: '/bad?secret=1', headers }, 'abc');
  await until(() => rig.records.length === 1);
  expect(rig.records[0]).toMatchObject({
    ...{ requestId: answer.headers['x-amzn-requestid'], protocol: 'HTTP/1.1', method: 'POST', path: '/bad' },
    ...{ microvmId: 'vm', target: 8080, tokenId: await tokenIdOf(token), clientAddress: '127.0.0.1' },
    ...{ status: 200, end: 'answered', refusal: undefined, bytesIn: 3, bytesOut: 5, wakeMs: 0 },
  });
  expect(rig.records[0]?.requestId).toMatch(/^[\w-]{36}$/);
  expect(seen.get('/bad?secret=1')).toBe(rig.records[0]?.requestId);
  await rig.ask('vm', { path: '/bad' });
  await until(() => rig.records.length === 2);
  expect(rig.records[1]?.status).toBe(500);
  const { total, byMicrovm } = rig.accounting.snapshot(rig.gateway.connections());
  expect([...total.slice(0, 6)]).toEqual([0, 0, 1, 0, 0, 1]);
  expect([total[place.bytesIn], total[place.bytesOut]]).toEqual([3, 10]);
  expect(byMicrovm.get('vm')?.counts).toEqual(total);
});

test('the same over HTTP/2', async () => {
  const session = http2();
  const stream = session.request({ ':path': '/two?secret=1', 'x-aws-proxy-auth': await rig.token('vm') });
  const [headers] = await once(stream, 'response');
  stream.resume();
  await once(stream, 'close');
  await until(() => rig.records.length === 1);
  expect(rig.gateway.connections()).toBe(1);
  session.destroy();
  expect(rig.records[0]).toMatchObject({ protocol: 'HTTP/2', path: '/two', status: 200, end: 'answered', bytesOut: 5 });
  expect([headers['x-amzn-requestid'], seen.get('/two?secret=1')]).toEqual(Array(2).fill(rig.records[0]?.requestId));
  await until(() => rig.gateway.connections() === 0);
});

test('a token in the address opens nothing; no token, cookie or query is ever written', async () => {
  const token = await rig.token('vm');
  const inQuery = `/?x-aws-proxy-auth=${token}&authToken=${token}&X-aws-proxy-port=8080`;
  const refused = await rig.ask('vm', { path: inQuery, headers: { 'x-aws-proxy-auth': undefined } });
  expect([refused.status, refused.body]).toEqual([403, 'Request missing authentication']);
  const secrets = { cookie: 'session=very-secret', authorization: 'Bearer very-secret' };
  expect(
    (await rig.ask('vm', { path: `/?q=${token}`, headers: { ...secrets, 'x-aws-proxy-auth': token } })).status,
  ).toBe(200);
  const offered = `lambda-microvms, lambda-microvms.authentication.${token}`;
  await rig.ask('vm', { path: '/protocol', headers: { 'sec-websocket-protocol': offered, 'x-aws-proxy-auth': 'x' } });
  await until(() => rig.records.length === 3);
  await rig.accounting[Symbol.asyncDispose]();
  const text = await logText();
  expect(
    text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).path),
  ).toEqual(['/', '/', '/protocol']);
  for (const secret of [token, token.slice(-40), 'very-secret', 'authToken', '?']) expect(text).not.toContain(secret);
});

test('refusals have their reason, waits their time, and who leaves has no status', async () => {
  await rig.ask('vm', { headers: { 'x-aws-proxy-auth': await rig.token('vm', [1]) } });
  await rig.ask('nobody', { headers: { 'x-aws-proxy-auth': 'x' } });
  let wake = (): void => {};
  rig.plane.wake = new Promise((resolve) => {
    wake = resolve;
  });
  const vm = rig.plane.vms.get('vm');
  if (vm) vm.asleep = true;
  const waiting = rig.ask('vm', { path: '/woken' });
  const left = await rig.raw('vm');
  left.write(`GET /left HTTP/1.1\r\nHost: ${hostOf('vm')}\r\nx-aws-proxy-auth: ${await rig.token('vm')}\r\n\r\n`);
  await until(() => rig.plane.waiting === 2);
  expect(rig.accounting.snapshot(0).byMicrovm.get('vm')?.open).toEqual({ requests: 2, webSockets: 0 });
  left.destroy();
  await until(() => rig.records.length === 3);
  wake();
  await waiting;
  await until(() => rig.records.length === 4);
  const facts = rig.records.map(({ status, end, refusal, microvmId }) => [status, end, refusal, microvmId]);
  expect(facts).toEqual([
    [403, 'refused', 'port_denied', undefined],
    [404, 'refused', 'host_unknown', undefined],
    [undefined, 'left', undefined, 'vm'],
    [200, 'answered', undefined, 'vm'],
  ]);
  expect(rig.records.map(({ wakeMs }) => wakeMs > 0)).toEqual([false, false, false, true]);
  expect([...rig.accounting.snapshot(0).refusals]).toEqual([
    ['port_denied', 1],
    ['host_unknown', 1],
  ]);
});

test('a WebSocket is open while it is, and one record when it is over', async () => {
  const socket = await webSocket(await rig.token('vm'));
  await until(() => rig.accounting.snapshot(0).byMicrovm.get('vm')?.open.webSockets === 1);
  socket.write('to the application');
  await once(upgraded[0] as Socket, 'data');
  expect(rig.records).toEqual([]);
  socket.end();
  upgraded[0]?.end();
  await until(() => rig.records.length === 1);
  expect(rig.records[0]).toMatchObject({ end: 'switched', status: 101, bytesIn: 18, bytesOut: 5, path: '/ws' });
  expect(rig.records[0]?.requestId).toBe(seen.get('/ws'));
  expect(rig.accounting.snapshot(0).byMicrovm.get('vm')?.open).toEqual({ requests: 0, webSockets: 0 });
});

test('a revoked token opens nothing from then on, and what it had opened is cut; other tokens are good', async () => {
  const [bad, good] = [await rig.token('vm'), await rig.token('vm')];
  const sockets = [await webSocket(bad), await webSocket(good)];
  const closed = sockets.map((socket) => {
    const fact = { is: false };
    socket
      .on('error', () => {})
      .once('close', () => {
        fact.is = true;
      });
    return fact;
  });
  const stream = await rig.raw('vm');
  stream.write(`GET /stream HTTP/1.1\r\nHost: ${hostOf('vm')}\r\nx-aws-proxy-auth: ${bad}\r\n\r\n`);
  await once(stream, 'data');
  const session = http2();
  const second = session.request({ ':path': '/stream', 'x-aws-proxy-auth': bad });
  second.on('error', () => {});
  await once(second, 'data');
  await rig.tokens.revokeToken('vm', await tokenIdOf(bad));
  await Promise.all([readAll(stream), until(() => closed[0]?.is === true), until(() => second.closed)]);
  session.destroy();
  const ask = (token: string) => rig.ask('vm', { headers: { 'x-aws-proxy-auth': token } });
  expect([(await ask(bad)).status, (await ask(good)).status]).toEqual([403, 200]);
  expect(closed[1]?.is).toBe(false);
  await rig.tokens.revokeMicrovm('vm');
  await until(() => closed[1]?.is === true);
  expect([(await ask(good)).status, (await rig.ask('vm')).status]).toEqual([403, 200]);
  await until(() => rig.accounting.snapshot(0).byMicrovm.get('vm')?.open.webSockets === 0);
  await rig.tokens.revokeEverything();
  expect((await rig.ask('vm')).status).toBe(200);
});

test('a request that waits for its MicroVM is cut, too', async () => {
  rig.plane.wake = new Promise(() => {});
  const vm = rig.plane.vms.get('vm');
  if (vm) vm.asleep = true;
  const token = await rig.token('vm');
  const waiting = rig.ask('vm', { headers: { 'x-aws-proxy-auth': token } });
  await until(() => rig.plane.waiting === 1);
  await rig.tokens.revokeMicrovm('vm');
  await expect(waiting).rejects.toThrow();
  await until(() => rig.plane.waiting === 0);
});
