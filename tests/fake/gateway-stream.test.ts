// Bytes through the gateway: streamed both ways with back-pressure, framing kept, nothing buffered.
import { once } from 'node:events';
import type { IncomingMessage, RequestListener } from 'node:http';
import { request } from 'node:https';
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Rig, readAll, startRig, until } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

const mib = 1024 * 1024;
let rig: Rig;
const bareServers: Server[] = [];
beforeEach(async () => {
  rig = await startRig({ lingerMs: 300 });
});
afterEach(async () => {
  await rig[Symbol.asyncDispose]();
  for (const server of bareServers.splice(0)) server.close();
});

const echo: RequestListener = (req, res) => {
  req.pipe(res);
};

/** An application that says exactly these bytes to every request. */
async function bare(microvmId: string, answer: string): Promise<void> {
  const server = createServer((socket) => {
    socket.once('data', () => socket.end(answer, 'latin1'));
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  bareServers.push(server);
  const address = server.address();
  const port = typeof address === 'object' && address ? address.port : 0;
  rig.plane.vms.set(microvmId, { ports: new Map([[8080, port]]), asleep: false, autoResume: true });
}

async function post(microvmId: string, headers: Record<string, string> = {}) {
  const token = await rig.token(microvmId);
  return request(rig.options(microvmId, { method: 'POST', headers: { 'x-aws-proxy-auth': token, ...headers } }));
}

test('192 MiB each way at once: what is under way stays small, and so does the process', async () => {
  await rig.app('vm', echo);
  const total = 192 * mib;
  const chunk = Buffer.alloc(256 * 1024, 'x');
  const req = await post('vm');
  const before = process.memoryUsage().rss;
  let [sent, received, mostUnderWay, peak] = [0, 0, 0, 0];
  const feed = async (): Promise<void> => {
    for (; sent < total; sent += chunk.length) if (!req.write(chunk)) await once(req, 'drain');
    req.end();
  };
  const fed = feed();
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  for await (const part of res) {
    received += part.length;
    mostUnderWay = Math.max(mostUnderWay, sent - received);
    peak = Math.max(peak, process.memoryUsage().rss);
  }
  await fed;
  expect(received).toBe(total);
  expect(mostUnderWay).toBeLessThan(32 * mib);
  // Client, gateway and application share this process, and what is not collected yet counts too.
  expect(peak - before).toBeLessThan(total);
  expect(rig.plane.touches).toBeGreaterThan(100);
});

const much = 96 * mib;

test('an application that does not read stops the client', async () => {
  await rig.app('vm', (_, res) => res.flushHeaders());
  const req = await post('vm');
  req.on('error', () => {});
  const chunk = Buffer.alloc(mib);
  let sent = 0;
  const patience = (): Promise<unknown> => new Promise((resolve) => setTimeout(resolve, 1_000, 'stopped'));
  while (sent < much) {
    sent += mib;
    if (req.write(chunk)) continue;
    if ((await Promise.race([once(req, 'drain'), patience()])) === 'stopped') break;
  }
  expect(sent).toBeLessThan(much / 2);
  req.destroy();
});

test('a client that does not read stops the application', async () => {
  let written = 0;
  let lastMs = Date.now();
  const chunk = Buffer.alloc(mib);
  await rig.app('vm', (_, res) => {
    const more = (): void => {
      lastMs = Date.now();
      while (written < much) {
        written += mib;
        if (!res.write(chunk)) return void res.once('drain', more);
      }
    };
    more();
  });
  const socket = await rig.raw('vm');
  socket.pause();
  socket.write(`GET / HTTP/1.1\r\nHost: ${hostOf('vm')}\r\nx-aws-proxy-auth: ${await rig.token('vm')}\r\n\r\n`);
  await until(() => written === much || (written > 0 && Date.now() - lastMs > 1_000));
  expect(written).toBeLessThan(much / 2);
  socket.destroy();
});

test('server-sent events arrive one by one, the headers before the first', async () => {
  let say: ((text: string) => void) | undefined;
  await rig.app('vm', (_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    res.flushHeaders();
    say = (text) => (text === '' ? res.end() : res.write(text));
  });
  const req = await post('vm');
  req.end();
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  expect(res.headers['content-type']).toBe('text/event-stream');
  for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
    say?.(text);
    const [part] = await once(res, 'data');
    expect(String(part)).toBe(text);
  }
  say?.('');
  await once(res, 'end');
});

test('an upload is streamed too: the application sees the first piece while the client still sends', async () => {
  let seen = '';
  await rig.app('vm', (req, res) => {
    req.on('data', (part) => {
      seen += part;
    });
    req.on('end', () => res.end(JSON.stringify(req.headers)));
  });
  const req = await post('vm');
  req.write('first');
  await until(() => seen === 'first');
  req.end('second');
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  const headers = JSON.parse((await res.toArray()).join(''));
  expect(seen).toBe('firstsecond');
  expect(headers).toMatchObject({ 'transfer-encoding': 'chunked' });
});

test('a body with a length keeps it, in every method', async () => {
  await rig.app('vm', (req, res) => {
    res.setHeader('x-framing', JSON.stringify([req.headers['content-length'], req.headers['transfer-encoding']]));
    req.pipe(res);
  });
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'GET']) {
    const answer = await rig.ask('vm', { method, headers: { 'content-length': '3' } }, 'abc');
    expect([method, answer.body, answer.headers['x-framing']]).toEqual([method, 'abc', '["3",null]']);
  }
  const empty = await rig.ask('vm', { method: 'POST', headers: { 'content-length': '0' } });
  expect(empty.headers['x-framing']).toBe('["0",null]');
});

test('Expect: 100-continue: asked for only when the application takes the body', async () => {
  await rig.app('vm', echo);
  const req = await post('vm', { expect: '100-continue', 'content-length': '4' });
  req.flushHeaders();
  await once(req, 'continue');
  req.end('body');
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  expect((await res.toArray()).join('')).toBe('body');
});

test('Expect: 100-continue and no right to pass: a refusal without 100', async () => {
  await rig.app('vm', echo);
  const socket = await rig.raw('vm');
  socket.write(`POST / HTTP/1.1\r\nHost: ${hostOf('vm')}\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
  expect(await readAll(socket)).toMatch(/^HTTP\/1.1 403 /);
});

test('HEAD, 204 and 304 have no body and keep their headers', async () => {
  await rig.app('vm', (req, res) => {
    const status = Number(req.url?.slice(1));
    res.writeHead(status, status === 204 ? {} : { 'content-length': '5', etag: '"e"' });
    res.end(status === 200 ? 'hello' : undefined);
  });
  const head = await rig.ask('vm', { method: 'HEAD', path: '/200' });
  expect([head.status, head.headers['content-length'], head.body]).toEqual([200, '5', '']);
  const none = await rig.ask('vm', { path: '/204' });
  expect([none.status, none.headers['content-length'], none.body]).toEqual([204, undefined, '']);
  const same = await rig.ask('vm', { path: '/304' });
  expect([same.status, same.headers.etag, same.body]).toEqual([304, '"e"', '']);
});

test('answer headers: repeated ones and their case stay, hop-by-hop ones go', async () => {
  await bare(
    'vm',
    'HTTP/1.1 299 Quite Fine\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Own: 1\r\nConnection: close, x-own\r\n' +
      'Keep-Alive: timeout=1\r\nX-Amzn-RequestId: app\r\nContent-Length: 2\r\n\r\nok',
  );
  const answer = await rig.ask('vm');
  expect([answer.status, answer.body]).toEqual([299, 'ok']);
  expect(answer.rawHeaders.slice(0, 4)).toEqual(['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2']);
  expect(answer.headers['x-own']).toBeUndefined();
  expect(answer.headers['x-amzn-requestid']).toMatch(/^[0-9a-f-]{36}$/);
});

test('an HTTP/1.0 answer that ends with its connection, and trailers', async () => {
  await bare('old', 'HTTP/1.0 200 OK\r\n\r\nall of it');
  expect(await rig.ask('old')).toMatchObject({ status: 200, body: 'all of it' });
  await bare(
    'vm',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n',
  );
  expect(await rig.ask('vm')).toMatchObject({ status: 200, body: 'ok', trailers: { 'x-sum': '7' } });
});

test('an answer before the body was sent reaches the client, whose connection is closed after a while', async () => {
  await rig.app('vm', (_, res) => res.writeHead(413).end('too much'));
  const req = await post('vm', { 'content-length': String(64 * mib) });
  req.on('error', () => {});
  req.write(Buffer.alloc(mib));
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  expect(res.statusCode).toBe(413);
  await once(req, 'close');
});

test('connections to the application are kept alive and shared', async () => {
  await rig.app('vm', echo);
  for (let i = 0; i < 5; i++) expect((await rig.ask('vm', { method: 'POST' }, `${i}`)).body).toBe(`${i}`);
  // One more was to see whether it speaks TLS: a body cannot be sent twice.
  expect(rig.plane.opened).toBe(2);
  expect(rig.plane.begun).toBe(5);
  await until(() => rig.plane.ended === 5);
});

test('the client may keep its connection too', async () => {
  await rig.app('vm', echo);
  const socket = await rig.raw('vm');
  const token = await rig.token('vm');
  const head = `POST / HTTP/1.1\r\nHost: ${hostOf('vm')}\r\nx-aws-proxy-auth: ${token}\r\n`;
  socket.write(`${head}Content-Length: 3\r\n\r\none${head}Content-Length: 3\r\nConnection: close\r\n\r\ntwo`);
  const text = await readAll(socket);
  expect(text.match(/HTTP\/1.1 200 OK/g)).toHaveLength(2);
  expect(text).toMatch(/one.*two/s);
});
