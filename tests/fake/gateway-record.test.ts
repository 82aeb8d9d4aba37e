// What a request leaves behind for the access log and metrics, however it ended.
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { AccessRecord } from '../../src/gateway/access-log.ts';
import { type Rig, readAll, startRig, until } from './gateway-rig.ts';
import { askHttp2, openSession } from './http2-client.ts';

let records: AccessRecord[];
let rig: Rig;
beforeEach(async () => {
  records = [];
  rig = await startRig({}, (record) => records.push(record));
});
afterEach(() => rig[Symbol.asyncDispose]());

async function record(): Promise<AccessRecord | undefined> {
  await until(() => records.length > 0);
  return records.shift();
}

test('an answered request, over either protocol, with bytes both ways and without its query', async () => {
  await rig.app('vm', (req, res) => req.pipe(res));
  const answer = await rig.ask('vm', { method: 'POST', path: '/a/b?secret=1' }, 'hello');
  const first = await record();
  expect(first).toMatchObject({
    requestId: answer.headers['x-amzn-requestid'],
    clientAddress: '127.0.0.1',
    protocol: 'HTTP/1.1',
    method: 'POST',
    path: '/a/b',
    microvmId: 'vm',
    target: 8080,
    status: 200,
    refusal: undefined,
    end: 'answered',
    bytesIn: 5,
    bytesOut: 5,
    wakeMs: 0,
  });
  expect(first?.durationMs).toBeGreaterThanOrEqual(first?.firstByteMs ?? Number.NaN);
  const session = openSession(rig, 'vm');
  await askHttp2(rig, session, 'vm', { ':method': 'POST' }, 'hello');
  expect(await record()).toMatchObject({ protocol: 'HTTP/2', status: 200, end: 'answered', bytesIn: 5, bytesOut: 5 });
  session.destroy();
  expect(records).toEqual([]);
});

test('a refused one, with what the door knew', async () => {
  await rig.app('vm', (_, res) => res.end());
  await rig.ask('vm', { headers: { 'x-aws-proxy-auth': 'x' } });
  expect(await record()).toMatchObject({ status: 403, refusal: 'token_missing', end: 'refused', microvmId: undefined });
  await rig.ask('vm', { headers: { 'x-aws-proxy-port': '9' } });
  expect(await record()).toMatchObject({ status: 502, refusal: 'application_unreachable', end: 'refused', target: 9 });
});

test('one that waited for its MicroVM', async () => {
  await rig.app('vm', (_, res) => res.end());
  Object.assign(rig.plane.vms.get('vm') ?? {}, { asleep: true });
  rig.plane.wake = new Promise((resolve) => setTimeout(resolve, 300));
  await rig.ask('vm');
  const found = await record();
  expect(found?.wakeMs).toBeGreaterThan(30);
  expect(found?.firstByteMs).toBeGreaterThan(found?.wakeMs ?? 0);
});

test('a broken one, and one whose client left', async () => {
  await rig.app('vm', (req, res) => {
    if (req.url === '/half') res.write('half', () => setTimeout(() => res.destroy(), 20));
  });
  await rig.ask('vm', { path: '/half' }).catch(() => {});
  expect(await record()).toMatchObject({ status: 200, end: 'broken', bytesOut: 4 });
  const socket = await rig.raw('vm');
  socket.write(`GET /none HTTP/1.1\r\nHost: vm.vm.localhost\r\nx-aws-proxy-auth: ${await rig.token('vm')}\r\n\r\n`);
  await until(() => rig.plane.begun === 2);
  socket.destroy();
  expect(await record()).toMatchObject({ status: undefined, end: 'left', firstByteMs: undefined });
});

test('a WebSocket, when it is over', async () => {
  const server = await rig.app('vm', (_, res) => res.end());
  server.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.on('data', () => socket.end('1234567'));
  });
  const socket = await rig.raw('vm');
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: vm.vm.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nx-aws-proxy-auth: ${await rig.token('vm')}\r\n\r\n`,
  );
  await once(socket, 'data');
  expect(records).toEqual([]);
  socket.end('12345');
  // The application answers to a client that is gone.
  expect(await record()).toMatchObject({ status: 101, end: 'switched', path: '/ws', bytesIn: 5, bytesOut: 7 });
});

test('requests and WebSockets on which nothing moves end; those that move do not', async () => {
  await rig[Symbol.asyncDispose]();
  rig = await startRig({ stallMs: 800 });
  const server = await rig.app('vm', (req, res) => {
    if (req.url === '/none') return;
    res.write('x');
    if (req.url === '/half') return;
    const timer = setInterval(() => res.write('x'), 100);
    setTimeout(() => {
      clearInterval(timer);
      res.end();
    }, 2_000);
  });
  server.on('upgrade', (_, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
  });
  const moving = rig.ask('vm', { path: '/moving' });
  const half = expect(rig.ask('vm', { path: '/half' })).rejects.toThrow(/aborted|hang up/);
  expect((await rig.ask('vm', { path: '/none' })).status).toBe(502);
  await half;
  const socket = await rig.raw('vm');
  socket.write(
    `GET /ws HTTP/1.1\r\nHost: vm.vm.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nx-aws-proxy-auth: ${await rig.token('vm')}\r\n\r\n`,
  );
  await readAll(socket);
  expect((await moving).body.length).toBeGreaterThan(10);
  await until(() => rig.plane.ended === 4);
});
