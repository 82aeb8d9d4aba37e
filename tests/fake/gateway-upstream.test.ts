// How applications are spoken to: HTTP/2 with prior knowledge, and TLS. Reference f.5; docs/decisions/0012.
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import {
  createSecureServer as createHttp2SecureServer,
  createServer as createHttp2Server,
  type ServerHttp2Stream,
} from 'node:http2';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openAuthority, type TlsIdentity } from '../../src/gateway/authority.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { type Rig, startRig, until } from './gateway-rig.ts';
import { answerOf, askHttp2, openSession } from './http2-client.ts';
import { flags, frame, frameTypes } from './http2-frames.ts';

let directory: string;
/** Not one that the gateway trusts. */
let tls: TlsIdentity;
let rig: Rig;
const servers: Server[] = [];
const sockets = new Set<{ destroy(): void }>();
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-app-tls-'));
  tls = await openAuthority({ directory, suffix: 'app.localhost', loopback: false, clock: systemClock });
});
afterAll(() => rm(directory, { recursive: true }));
beforeEach(async () => {
  rig = await startRig({ probeMs: 500 });
});
afterEach(async () => {
  await rig[Symbol.asyncDispose]();
  for (const socket of sockets) socket.destroy();
  for (const server of servers.splice(0)) server.close();
});

/** Makes `server` the application of `vm`; connections are counted from the first on. */
async function serve(server: Server): Promise<{ connections: number }> {
  const seen = { connections: 0 };
  server.on('connection', (socket) => {
    seen.connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.on('sessionError', () => {});
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  const { port } = server.address() as AddressInfo;
  rig.plane.vms.set('vm', { ports: new Map([[8080, port]]), asleep: false, autoResume: true });
  return seen;
}

const http2Echo = (stream: ServerHttp2Stream, headers: Record<string, unknown>): void => {
  stream.on('error', () => {});
  stream.respond({ ':status': 200, 'x-seen': JSON.stringify(headers), 'x-version': '2' });
  stream.pipe(stream);
};
const force = { 'x-aws-proxy-force-h2': 'true' };

test('HTTP/2 with prior knowledge, asked for by a client of HTTP/1.1 and by one of HTTP/2', async () => {
  const server = createHttp2Server();
  server.on('stream', http2Echo);
  await serve(server);
  const first = await rig.ask(
    'vm',
    { method: 'POST', headers: { ...force, connection: 'keep-alive, x-gone', 'x-gone': '1' } },
    'one',
  );
  expect(first).toMatchObject({ status: 200, body: 'one', headers: { 'x-version': '2' } });
  const seen = JSON.parse(String(first.headers['x-seen']));
  expect(seen).toMatchObject({
    ':method': 'POST',
    ':scheme': 'http',
    'x-amzn-requestid': first.headers['x-amzn-requestid'],
  });
  expect(Object.keys(seen)).not.toContain('x-gone');
  const session = openSession(rig, 'vm');
  const second = await askHttp2(rig, session, 'vm', { ':method': 'POST', ...force, te: 'trailers' }, 'two');
  expect(second).toMatchObject({ status: 200, body: 'two' });
  expect(JSON.parse(String(second.headers['x-seen']))).toMatchObject({ te: 'trailers' });
  session.destroy();
});

test('many exchanges share a connection of HTTP/2', async () => {
  const server = createHttp2Server();
  server.on('stream', http2Echo);
  const seen = await serve(server);
  const answers = await Promise.all(
    Array.from({ length: 80 }, (_, i) => rig.ask('vm', { method: 'POST', headers: force }, `${i}`)),
  );
  expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 80 }, (_, i) => `${i}`));
  // One more was to see whether it speaks TLS.
  expect(seen.connections).toBe(2);
});

test('an application that speaks HTTP/1.1 only is a 502 when HTTP/2 is asked for, and serves without', async () => {
  await rig.app('vm', (_, res) => res.end('one'));
  expect(await rig.ask('vm', { headers: force })).toMatchObject({ status: 502, body: '' });
  expect((await rig.ask('vm', { headers: { 'x-aws-proxy-force-h2': 'false' } })).body).toBe('one');
});

test('an application that says nothing does not hold a request for HTTP/2 for ever', async () => {
  await rig[Symbol.asyncDispose]();
  rig = await startRig({ probeMs: 100, connectTimeoutMs: 300 });
  await serve(createServer(() => {}));
  expect((await rig.ask('vm', { headers: force })).status).toBe(502);
});

test.each([
  ['HTTP/1.1', undefined, '1.1'],
  ['HTTP/1.1 by ALPN', ['http/1.1'], '1.1'],
  ['HTTP/2 by ALPN', ['h2', 'http/1.1'], '2.0'],
])('an application behind TLS with %s, first with a body and first without', async (_, ALPNProtocols, version) => {
  for (const method of ['POST', 'GET']) {
    const listener = (
      req: { httpVersion: string; pipe(to: unknown): void },
      res: { setHeader(name: string, value: string): void },
    ) => {
      res.setHeader('x-version', req.httpVersion);
      req.pipe(res);
    };
    const server = ALPNProtocols?.includes('h2')
      ? createHttp2SecureServer({ ...tls, allowHTTP1: true }, listener)
      : createHttpsServer({ ...tls, ...(ALPNProtocols ? { ALPNProtocols } : {}) }, listener);
    await serve(server);
    const body = method === 'POST' ? 'body' : undefined;
    for (let i = 0; i < 2; i++) {
      expect(await rig.ask('vm', { method }, body)).toMatchObject({
        status: 200,
        body: body ?? '',
        headers: { 'x-version': version },
      });
    }
    await rig[Symbol.asyncDispose]();
    rig = await startRig({ probeMs: 500 });
  }
});

test('a TLS server that answers plain requests with 400 is found out, an application that says 400 is not asked twice', async () => {
  // As Go and nginx do.
  const https = createHttpsServer(tls, (_, res) => res.end('over TLS'));
  await serve(https);
  const inner = (https.address() as AddressInfo).port;
  await serve(
    createServer((socket) => {
      socket.once('data', (chunk) => {
        if (chunk[0] !== 0x16) {
          socket.end('HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n');
          return;
        }
        const through = connect(inner, '127.0.0.1').on('error', () => {});
        through.write(chunk);
        socket.pipe(through).pipe(socket);
      });
    }),
  );
  expect((await rig.ask('vm')).body).toBe('over TLS');
  let asked = 0;
  await rig.app('plain', (_, res) => {
    asked += 1;
    res.writeHead(400).end('no');
  });
  expect(await rig.ask('plain', { method: 'POST' })).toMatchObject({ status: 400, body: 'no' });
  expect(asked).toBe(1);
  expect(await rig.ask('plain')).toMatchObject({ status: 400, body: 'no' });
});

test('an application that turns to TLS, and back, is followed', async () => {
  await rig.app('vm', (_, res) => res.end('plain'));
  expect((await rig.ask('vm')).body).toBe('plain');
  rig.plane.leave('vm');
  await serve(createHttpsServer(tls, (_, res) => res.end('TLS')));
  expect((await rig.ask('vm')).status).toBe(502);
  expect((await rig.ask('vm')).body).toBe('TLS');
  rig.plane.leave('vm');
  await rig.app('vm', (_, res) => res.end('plain'));
  expect((await rig.ask('vm')).status).toBe(502);
  expect((await rig.ask('vm')).body).toBe('plain');
});

test('a WebSocket to an application behind TLS', async () => {
  const server = createHttpsServer(tls, (_, res) => res.end());
  server.on('upgrade', (_, socket) =>
    socket.write('HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x89\x05hello', 'latin1'),
  );
  await serve(server);
  const socket = await rig.raw('vm');
  socket.write(
    `GET / HTTP/1.1\r\nHost: vm.vm.localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nx-aws-proxy-auth: ${await rig.token('vm')}\r\n\r\n`,
  );
  let text = '';
  socket.on('data', (chunk) => {
    text += chunk;
  });
  await until(() => text.includes('hello'));
  expect(text).toMatch(/^HTTP\/1.1 101 /);
  const closed = once(socket, 'close');
  rig.plane.leave('vm');
  await closed;
  expect(text).toMatch(/hello.+The MicroVM was suspended or has ended\.$/s);
});

test('an application of HTTP/2 that resets its stream: the same code for clients of HTTP/2, a break for others', async () => {
  const server = createHttp2Server();
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    // Node ends a stream before it resets it, unless it has trailers to send.
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.write('part', () => setTimeout(() => stream.close(8), 20));
  });
  await serve(server);
  await expect(rig.ask('vm', { headers: force })).rejects.toThrow(/aborted|hang up|ECONNRESET/);
  const session = openSession(rig, 'vm');
  const stream = session.request({ 'x-aws-proxy-auth': await rig.token('vm'), ...force });
  await expect(answerOf(stream)).rejects.toThrow();
  expect(stream.rstCode).toBe(8);
  session.destroy();
});

test('a client that leaves resets the stream of the application, whose connection goes on', async () => {
  let [begun, aborted] = [0, 0];
  const server = createHttp2Server();
  server.on('stream', (stream) => {
    begun += 1;
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    stream.on('aborted', () => {
      aborted += 1;
    });
  });
  const seen = await serve(server);
  const session = openSession(rig, 'vm');
  for (let i = 1; i <= 3; i++) {
    const stream = session.request({ 'x-aws-proxy-auth': await rig.token('vm'), ...force });
    stream.on('error', () => {});
    await until(() => begun === i);
    stream.close(8);
    await until(() => aborted === i);
  }
  expect(seen.connections).toBe(2);
  session.destroy();
});

test('a leaving MicroVM ends exchanges over HTTP/2 and TLS', async () => {
  const server = createHttp2SecureServer(tls);
  server.on('stream', (stream) => {
    stream.on('error', () => {});
    stream.respond({ ':status': 200 });
    stream.write('part');
  });
  await serve(server);
  const broken = expect(rig.ask('vm')).rejects.toThrow(/aborted|hang up|ECONNRESET/);
  await until(() => rig.plane.connections.length >= 3);
  await new Promise((resolve) => setTimeout(resolve, 100));
  rig.plane.leave('vm');
  await broken;
});

test.each([0, 8])(
  'an application that resets its stream with %i in the middle of its answer: never a whole answer',
  async (code) => {
    await serve(
      createServer((socket) => {
        socket.on('error', () => {});
        socket.write(frame(frameTypes.settings, 0, 0));
        socket.once('data', (chunk) => {
          if (chunk[0] === 0x16) return void socket.destroy();
          const head = Buffer.from([0x88]);
          setTimeout(() => {
            socket.write(frame(frameTypes.headers, flags.endHeaders, 1, head));
            socket.write(frame(frameTypes.data, 0, 1, Buffer.from('part')));
            socket.write(frame(frameTypes.rst, 0, 1, Buffer.from([0, 0, 0, code])));
          }, 100);
        });
      }),
    );
    await expect(rig.ask('vm', { headers: force })).rejects.toThrow(/aborted|hang up|ECONNRESET/);
    rig.plane.leave('vm');
    const session = openSession(rig, 'vm');
    await expect(askHttp2(rig, session, 'vm', force)).rejects.toThrow();
    session.destroy();
  },
);
