// Limits of an endpoint: bandwidth is felt as latency, connections and requests beyond theirs are refused, and nothing stays counted.
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2Server,
  createSecureServer,
} from 'node:http2';
import { Agent, createServer as createHttpsServer, request } from 'node:https';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { within } from '../../src/lib/deadline.ts';
import { type Rig, readAll, startRig, until } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

const perSecond = 2_000_000;
let rig: Rig;
beforeEach(async () => {
  rig = await startRig({ lingerMs: 300 });
});
const servers: Server[] = [];
afterEach(async () => {
  await rig[Symbol.asyncDispose]();
  for (const server of servers.splice(0)) server.close();
});

const connections = (microvmId = 'vm'): number => rig.plane.signs.get(microvmId)?.connections ?? 0;
const hello: RequestListener = (_, res) => void res.end('hello');
const echo: RequestListener = (req, res) => void req.pipe(res);

/** How long something took, in multiples of what so many bytes take at the set rate, but for those that pass at once after a rest. */
async function timesOf(bytes: number, work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return (performance.now() - startedAt) / ((1000 * (bytes - perSecond / 10)) / perSecond);
}

function http2(microvmId: string): ClientHttp2Session {
  return connectHttp2(`https://${hostOf(microvmId)}:${rig.port}`, {
    ca: rig.ca,
    lookup: (_: string, __: unknown, done: (error: null, found: { address: string; family: number }[]) => void) =>
      done(null, [{ address: '127.0.0.1', family: 4 }]),
  } as never);
}

async function askHttp2(session: ClientHttp2Session, path = '/'): Promise<{ status: number; bytes: number }> {
  const stream = session.request({ ':path': path, 'x-aws-proxy-auth': await rig.token('vm') });
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  let bytes = 0;
  for await (const chunk of stream) bytes += (chunk as Buffer).length;
  return { status: Number(headers[':status']), bytes };
}

// Machines are slow, so the upper bound is far off.
const nearRate = (times: number): void => {
  expect(times).toBeGreaterThan(0.85);
  expect(times).toBeLessThan(4);
};

test('a download, an upload, and both at once go at the rate', async () => {
  rig.plane.limits = { bytesPerSecond: perSecond };
  const size = 2_000_000;
  await rig.app('vm', (req, res) => {
    if (req.url === '/down') res.end(Buffer.alloc(size));
    else if (req.url === '/up') req.resume().on('end', () => res.end('ok'));
    else req.pipe(res);
  });
  nearRate(await timesOf(size, () => rig.ask('vm', { path: '/down' })));
  nearRate(await timesOf(size, () => rig.ask('vm', { path: '/up', method: 'POST' }, Buffer.alloc(size))));
  const echoed = await timesOf(2 * size, async () => {
    const { body } = await rig.ask('vm', { path: '/echo', method: 'POST' }, Buffer.alloc(size, 'x'));
    expect(body).toHaveLength(size);
  });
  nearRate(echoed);
});

test('many at once share it, none fails, and other MicroVMs have their own', async () => {
  rig.plane.limits = { bytesPerSecond: perSecond };
  const size = 200_000;
  await rig.app('vm', (_, res) => void res.end(Buffer.alloc(size)));
  await rig.app('other', hello);
  let finished = 0;
  const times = await timesOf(10 * size, async () => {
    const all = Array.from({ length: 10 }, async () => {
      const { status, body } = await rig.ask('vm');
      finished += 1;
      expect([status, body.length]).toEqual([200, size]);
    });
    expect((await rig.ask('other')).status).toBe(200);
    expect(finished).toBeLessThan(10);
    await Promise.all(all);
  });
  nearRate(times);
});

test('streams of HTTP/2 share it too, and count as one connection', async () => {
  rig.plane.limits = { bytesPerSecond: perSecond, connections: 1 };
  const size = 200_000;
  await rig.app('vm', (_, res) => void res.end(Buffer.alloc(size)));
  const session = http2('vm');
  try {
    const times = await timesOf(10 * size, async () => {
      const all = await Promise.all(Array.from({ length: 10 }, () => askHttp2(session)));
      for (const answer of all) expect(answer).toEqual({ status: 200, bytes: size });
    });
    nearRate(times);
    expect(connections()).toBe(1);
    expect((await rig.ask('vm')).status).toBe(429);
  } finally {
    session.destroy();
  }
  await until(() => connections() === 0);
});

test('a WebSocket keeps to it, and counts until it is closed', async () => {
  rig.plane.limits = { bytesPerSecond: perSecond, connections: 1 };
  const size = 1_000_000;
  const server = await rig.app('vm', hello);
  server.on('upgrade', (_, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.end(Buffer.alloc(size, 'x'));
  });
  const socket = await rig.raw('vm');
  const times = await timesOf(size, async () => {
    const handshake = ['GET / HTTP/1.1', `Host: ${hostOf('vm')}`, 'Connection: Upgrade', 'Upgrade: websocket'];
    const key = ['Sec-WebSocket-Version: 13', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=='];
    socket.write([...handshake, ...key, `x-aws-proxy-auth: ${await rig.token('vm')}`, '', ''].join('\r\n'));
    const said = readAll(socket);
    await until(() => connections() === 1);
    expect((await rig.ask('vm')).status).toBe(429);
    expect((await said).split('\r\n\r\n')[1]).toHaveLength(size);
  });
  nearRate(times);
  await until(() => connections() === 0);
  expect((await rig.ask('vm')).status).toBe(200);
});

test('connections: refused beyond the limit until one closes; idle ones count, those without a token do not', async () => {
  rig.plane.limits = { connections: 2 };
  await rig.app('vm', hello);
  const agents = [1, 2, 3].map(() => new Agent({ keepAlive: true, maxSockets: 1 }));
  const ask = (agent: number) => rig.ask('vm', { agent: agents[agent] });
  const nobody = await Promise.all([rig.raw('vm'), rig.raw('vm'), rig.raw('vm')]);
  for (const socket of nobody) socket.write(`GET / HTTP/1.1\r\nHost: ${hostOf('vm')}\r\n\r\n`);
  for (const socket of nobody) await once(socket, 'data');
  expect(connections()).toBe(0);
  expect([(await ask(0)).status, (await ask(1)).status]).toEqual([200, 200]);
  const refused = await ask(2);
  expect(refused).toMatchObject({ status: 429, body: 'Too many connections' });
  expect(refused.headers).toMatchObject({ 'retry-after': '1', 'x-waterbear-reason': 'too_many_connections' });
  // Those that are counted go on, and the third may ask again over the connection that it has.
  expect((await ask(0)).status).toBe(200);
  agents[1]?.destroy();
  await until(() => connections() === 1);
  expect((await ask(2)).status).toBe(200);
  for (const agent of agents) agent.destroy();
  for (const socket of nobody) socket.destroy();
  await until(() => connections() === 0);
});

test('requests per second: a burst, then 429 with the time to wait', async () => {
  rig.plane.limits = { requestsPerSecond: 5 };
  await rig.app('vm', hello);
  const session = http2('vm');
  const all = await Promise.all([
    ...Array.from({ length: 10 }, () => rig.ask('vm')),
    ...Array.from({ length: 10 }, async () => ({ ...(await askHttp2(session)), headers: {} })),
  ]);
  session.destroy();
  const refused = all.filter(({ status }) => status === 429);
  const good = all.filter(({ status }) => status === 200);
  expect(good.length).toBeGreaterThanOrEqual(5);
  expect(good.length + refused.length).toBe(20);
  expect(refused.length).toBeGreaterThan(0);
  expect(rig.plane.begun).toBe(good.length);
  const [first] = await Promise.all(Array.from({ length: 10 }, () => rig.ask('vm'))).then((answers) =>
    answers.filter(({ status }) => status === 429),
  );
  expect(first).toMatchObject({ body: 'Too many requests', headers: { 'retry-after': '1' } });
  // When it says so, there is room again.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  expect((await rig.ask('vm')).status).toBe(200);
});

test('what is refused wakes nobody and is no use', async () => {
  rig.plane.limits = { connections: 0 };
  await rig.app('vm', hello);
  const vm = rig.plane.vms.get('vm');
  if (vm) vm.asleep = true;
  expect((await rig.ask('vm')).status).toBe(429);
  expect([rig.plane.wakes, rig.plane.begun]).toEqual([0, 0]);
});

test('a MicroVM that leaves is left at once, whatever is held back', async () => {
  rig.plane.limits = { bytesPerSecond: 1000 };
  await rig.app('vm', (_, res) => {
    res.writeHead(200, { 'content-length': '10000000' });
    res.write(Buffer.alloc(1_000_000));
  });
  const req = request(rig.options('vm', { headers: { 'x-aws-proxy-auth': await rig.token('vm') } })).end();
  req.on('error', () => {});
  await until(() => rig.plane.connections.length === 1);
  // At 1000 bytes a second, the first piece alone is held for a minute.
  await new Promise((resolve) => setTimeout(resolve, 100));
  const answered = once(req, 'close');
  rig.plane.connections[0]?.destroy();
  await within(5000, 'The end', answered);
});

test('clients that leave give everything back', async () => {
  rig.plane.limits = { bytesPerSecond: 1000, connections: 100 };
  await rig.app('vm', echo);
  const token = await rig.token('vm');
  for (let i = 0; i < 20; i++) {
    const req = request(rig.options('vm', { method: 'POST', headers: { 'x-aws-proxy-auth': token } }));
    req.on('error', () => {});
    req.write(Buffer.alloc(100_000));
    await until(() => rig.plane.begun === i + 1);
    setTimeout(() => req.destroy(), 10 * i);
  }
  await until(() => rig.plane.ended === 20);
  await until(() => connections() === 0);
  await until(() => rig.plane.connections.every((socket) => socket.destroyed));
});

test('applications that speak TLS or HTTP/2 are reached under a limit as well', async () => {
  rig.plane.limits = { bytesPerSecond: perSecond };
  const size = 300_000;
  const big = Buffer.alloc(size, 'y');
  const { key, cert } = rig.tls;
  const listen = async (microvmId: string, server: Server): Promise<void> => {
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    servers.push(server);
    const { port } = server.address() as AddressInfo;
    rig.plane.vms.set(microvmId, { ports: new Map([[8080, port]]), asleep: false, autoResume: true });
  };
  const answer = (_: unknown, res: { end(body: Buffer): unknown }): void => void res.end(big);
  await listen('secure', createHttpsServer({ key, cert }, answer));
  await listen('both', createSecureServer({ key, cert }, answer));
  await listen('plain', createHttp2Server(answer));
  for (const [microvmId, headers] of [
    ['secure', {}],
    ['both', {}],
    ['plain', { 'x-aws-proxy-force-h2': 'true' }],
  ] as const) {
    const times = await timesOf(size, async () => {
      const token = await rig.token(microvmId);
      const { status, body } = await rig.ask(microvmId, { headers: { ...headers, 'x-aws-proxy-auth': token } });
      expect([status, body.length]).toEqual([200, size]);
    });
    expect(times).toBeGreaterThan(0.85);
  }
});
