// Requests to a MicroVM that sleeps, comes, goes, or breaks.
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Rig, startRig, until } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

let rig: Rig;
let wakeUp: () => void;
beforeEach(async () => {
  rig = await startRig();
  rig.plane.wake = new Promise((resolve) => {
    wakeUp = resolve;
  });
});
afterEach(async () => {
  wakeUp();
  await rig[Symbol.asyncDispose]();
});

const sleep = (microvmId: string, autoResume = true): void => {
  const vm = rig.plane.vms.get(microvmId);
  if (vm) Object.assign(vm, { asleep: true, autoResume });
};

async function start(microvmId: string, method = 'GET') {
  const token = await rig.token(microvmId);
  const req = request(rig.options(microvmId, { method, headers: { 'x-aws-proxy-auth': token } }));
  req.on('error', () => {});
  return req;
}

test('100 requests to one sleeping MicroVM are held, wake it once, and are all answered with their bodies', async () => {
  await rig.app('vm', (req, res) => void req.pipe(res));
  sleep('vm');
  const asked = Array.from({ length: 100 }, (_, i) => rig.ask('vm', { method: 'POST' }, `request ${i}`));
  await until(() => rig.plane.waiting === 100);
  expect(rig.plane.opened).toBe(0);
  wakeUp();
  const answers = await Promise.all(asked);
  expect(answers.map(({ body }) => body)).toEqual(answers.map((_, i) => `request ${i}`));
  expect(rig.plane.wakes).toBe(1);
  await until(() => rig.plane.ended === 100);
});

test('a client that leaves while its request is held stops waiting, and the application never hears of it', async () => {
  let heard = 0;
  await rig.app('vm', (_, res) => {
    heard += 1;
    res.end();
  });
  sleep('vm');
  const req = await start('vm');
  req.end();
  await until(() => rig.plane.waiting === 1);
  req.destroy();
  await until(() => rig.plane.waiting === 0 && rig.plane.ended === 1);
  wakeUp();
  expect((await rig.ask('vm')).status).toBe(200);
  expect(heard).toBe(1);
});

test.each([
  ['asleep without autoResume', 'microvm_unavailable', () => sleep('vm', false)],
  ['nothing listening', 'application_unreachable', () => rig.plane.vms.get('vm')?.ports.clear()],
])('%s is a 502 with an empty body', async (_, reason, arrange) => {
  await rig.app('vm', (_req, res) => res.end());
  arrange();
  const answer = await rig.ask('vm', { method: 'POST' }, 'unread');
  expect(answer).toMatchObject({ status: 502, body: '' });
  expect(answer.headers).toMatchObject({ 'x-waterbear-reason': reason, 'cache-control': 'private, no-store' });
  await until(() => rig.plane.ended === rig.plane.begun);
});

test('a wake that takes too long is a 502 with an empty body', async () => {
  await rig[Symbol.asyncDispose]();
  rig = await startRig({ wakeTimeoutMs: 100 });
  rig.plane.wake = new Promise((resolve) => {
    wakeUp = resolve;
  });
  await rig.app('vm', (_, res) => res.end());
  sleep('vm');
  const answer = await rig.ask('vm');
  expect(answer).toMatchObject({ status: 502, body: '', headers: { 'x-waterbear-reason': 'wake_timeout' } });
  await until(() => rig.plane.waiting === 0 && rig.plane.ended === 1);
});

test('a listener that comes up shortly after the wake is waited for; later nobody waits', async () => {
  const app = await rig.app('vm', (_, res) => res.end('up'));
  const port = rig.plane.vms.get('vm')?.ports.get(8080) ?? 0;
  app.close();
  await once(app, 'close');
  const asked = rig.ask('vm');
  await until(() => rig.plane.opened >= 3);
  app.listen(port, '127.0.0.1');
  expect(await asked).toMatchObject({ status: 200, body: 'up' });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  rig.plane.vms.get('vm')?.ports.clear();
  for (const connection of rig.plane.connections) connection.destroy();
  const { opened } = rig.plane;
  expect((await rig.ask('vm')).status).toBe(502);
  expect(rig.plane.opened).toBe(opened + 1);
});

test('a client that aborts ends the request at the application', async () => {
  const aborted = new Promise<void>((resolve) => {
    void rig.app('vm', (req, res) => {
      res.write('some');
      req.once('close', () => resolve());
    });
  });
  await until(() => rig.plane.vms.has('vm'));
  const req = await start('vm');
  req.end();
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  await once(res, 'data');
  req.destroy();
  await aborted;
  await until(() => rig.plane.ended === 1);
});

/** Kills the connection to the application, once it has answered `sent`. */
async function brokenAfter(sent: (res: ServerResponse) => void, how: 'end' | 'reset' | 'leave'): Promise<unknown> {
  await rig.app('vm', (_, res) => {
    sent(res);
    setTimeout(() => {
      if (how === 'leave') rig.plane.leave('vm');
      else if (how === 'reset') res.socket?.resetAndDestroy();
      else res.socket?.destroy();
    }, 50);
  });
  return rig.ask('vm').then(
    ({ status, body }) => ({ status, body }),
    (error: Error) => error.message,
  );
}

const partOf: Record<string, (res: ServerResponse) => void> = {
  chunked: (res) => void res.write('part'),
  'chunked, not kept alive': (res) => void res.writeHead(200, { connection: 'close' }).write('part'),
  'with a length': (res) => void res.writeHead(200, { 'content-length': '9' }).write('part'),
  'until the end of the connection': (res) => {
    res.useChunkedEncodingByDefault = false;
    res.writeHead(200, { connection: 'close' }).write('part');
  },
};

test.each(['end', 'reset', 'leave'] as const)('upstream gone before the first byte (%s): 502, empty', async (how) => {
  expect(await brokenAfter(() => {}, how)).toEqual({ status: 502, body: '' });
});

// The clean end of an answer that lasts until the end of its connection is not a break.
const breaks = Object.keys(partOf).flatMap((framing) =>
  (['end', 'reset', 'leave'] as const)
    .filter((how) => how !== 'end' || !framing.startsWith('until'))
    .map((how) => ({ framing, how })),
);
test.each(breaks)('upstream gone in an answer $framing ($how): broken, never short', async ({ framing, how }) => {
  expect(await brokenAfter(partOf[framing] ?? (() => {}), how)).toMatch(/aborted|hang up|ECONNRESET/);
});

test('an application that speaks no HTTP is a 502', async () => {
  const server = createServer((socket) => socket.on('error', () => {}).end('220 smtp ready\r\n'));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  rig.plane.vms.set('vm', { ports: new Map([[8080, port]]), asleep: false, autoResume: true });
  expect(await rig.ask('vm')).toMatchObject({ status: 502, body: '' });
  server.close();
});

test('a kept connection that the application closes on the next request: repeated once, if that is safe', async () => {
  let heard = 0;
  const server = createServer((socket) => {
    let requests = 0;
    socket.on('error', () => {});
    socket.on('data', () => {
      heard += 1;
      requests += 1;
      if (requests === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else socket.destroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  rig.plane.vms.set('vm', { ports: new Map([[8080, port]]), asleep: false, autoResume: true });
  expect((await rig.ask('vm')).body).toBe('ok');
  expect((await rig.ask('vm')).body).toBe('ok');
  expect([rig.plane.opened, heard]).toEqual([2, 3]);
  expect((await rig.ask('vm', { method: 'POST' }, 'x')).status).toBe(502);
  expect([rig.plane.opened, heard]).toEqual([2, 4]);
  server.close();
});

test('kept connections are dropped when the MicroVM leaves, and it is reached again afterwards', async () => {
  await rig.app('vm', (_, res) => res.end('ok'));
  await rig.ask('vm');
  rig.plane.leave('vm');
  await until(() => rig.plane.connections.every((connection) => connection.destroyed));
  expect((await rig.ask('vm')).body).toBe('ok');
  expect(rig.plane.opened).toBe(2);
});

test('more requests than connections wait for their turn', async () => {
  await rig[Symbol.asyncDispose]();
  rig = await startRig({ upstreamMaxConnections: 2 });
  let now = 0;
  let most = 0;
  await rig.app('vm', (_, res) => {
    now += 1;
    most = Math.max(most, now);
    setTimeout(() => {
      now -= 1;
      res.end('ok');
    }, 20);
  });
  const answers = await Promise.all(Array.from({ length: 10 }, () => rig.ask('vm')));
  expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 10 }, () => 'ok'));
  expect([most, rig.plane.opened]).toEqual([2, 2]);
});

test('endpoint mode port: a port of its own for each MicroVM, with a certificate for localhost', async () => {
  await rig[Symbol.asyncDispose]();
  rig = await startRig({ endpointMode: 'port' });
  await rig.app('vm', (req, res) => res.end(req.headers.host));
  const { port } = await rig.gateway.listenFor('vm');
  expect(await rig.gateway.listenFor('vm')).toEqual({ port });
  for (const host of ['localhost', '127.0.0.1']) {
    const servername = host === 'localhost' ? host : '';
    const answer = await rig.ask('vm', { port, host, servername, headers: { host: `${host}:${port}` } });
    expect(answer).toMatchObject({ status: 200, body: `${host}:${port}` });
  }
  const foreign = { port, servername: '', headers: { host: hostOf('vm') }, rejectUnauthorized: false };
  expect((await rig.ask('vm', foreign)).status).toBe(404);
  await rig.gateway.closeFor('vm');
  await expect(rig.ask('vm', { port, host: '127.0.0.1', servername: '' })).rejects.toThrow('ECONNREFUSED');
  await expect(rig.gateway.listen('127.0.0.1', 0)).rejects.toMatchObject({ code: 'conflict' });
});
