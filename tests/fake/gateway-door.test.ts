// Who may pass, and what those who may not are told. Reference f.2, f.3, f.7.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openAuthority } from '../../src/gateway/authority.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { type Answer, exchange, type Rig, readAll, startRig } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

let rig: Rig;
beforeAll(async () => {
  rig = await startRig({ headersTimeoutMs: 1_500 });
  for (const id of ['one', 'two']) {
    await rig.app(id, (req, res) => res.end(`${id} ${JSON.stringify(req.rawHeaders)}`));
    await rig.app(id, (_, res) => res.end(`${id} on 9000`), 9000);
  }
});
afterAll(() => rig[Symbol.asyncDispose]());

function expectRefusal(answer: Answer, status: number, body: string, reason: string): void {
  expect(answer).toMatchObject({ status, body });
  expect(answer.headers['cache-control']).toBe('private, no-store');
  expect(answer.headers['x-amzn-requestid']).toMatch(/^[0-9a-f-]{36}$/);
  expect(answer.headers['x-waterbear-reason']).toBe(reason);
}

const withToken = (token: string | undefined) => ({ headers: { 'x-aws-proxy-auth': token } });

test('a good token passes to port 8080', async () => {
  const answer = await rig.ask('one');
  expect(answer.status).toBe(200);
  expect(answer.body).toMatch(/^one /);
});

test('missing, invalid, expired token, and one for another MicroVM', async () => {
  const expired = await rig.tokens.mint({ microvmId: 'one', ports: 'all', expiresAtMs: Date.now() - 1 });
  const otherHost = await rig.tokens.mint({
    microvmId: 'one',
    host: hostOf('two'),
    ports: 'all',
    expiresAtMs: Date.now() + 60_000,
  });
  for (const token of [undefined, '', 'a.b.c.d.e', expired, await rig.token('two'), otherHost]) {
    const answer = await rig.ask('one', withToken(token));
    expectRefusal(answer, 403, 'Request missing authentication', 'token_missing');
  }
});

test('the port comes from the header and must be in the token', async () => {
  const token = await rig.token('one', [9000]);
  const ask = (port: string | undefined) =>
    rig.ask('one', { headers: { 'x-aws-proxy-auth': token, 'x-aws-proxy-port': port } });
  expect((await ask('9000')).body).toBe('one on 9000');
  expectRefusal(await ask(undefined), 403, 'Access to port denied', 'port_denied');
  expectRefusal(await ask('9001'), 403, 'Access to port denied', 'port_denied');
  for (const port of ['0', '65536', '-1', '80a', '9000, 9000', '1e3', '', '09000']) {
    expectRefusal(await ask(port), 400, 'Invalid port', 'port_malformed');
  }
});

test('hosts that are not ours, and those of another TLS session', async () => {
  expectRefusal(await rig.ask('three'), 404, '', 'host_unknown');
  const misdirected = rig.options('one', { servername: hostOf('two'), headers: { ...withToken('x').headers } });
  expectRefusal(await exchange(misdirected), 421, '', 'host_mismatch');
  const foreign = rig.options('one', {
    headers: { host: 'example.com' },
    servername: '',
    checkServerIdentity: () => undefined,
  });
  expectRefusal(await exchange(foreign), 404, '', 'host_unknown');
});

test('nothing is woken or counted for who is refused', async () => {
  const { begun } = rig.plane;
  await rig.ask('one', withToken('x'));
  expect(rig.plane.begun).toBe(begun);
});

test('the host name is compared without case, and its port does not matter', async () => {
  const name = `${hostOf('one').toUpperCase()}:12345`;
  const answer = await rig.ask('one', { headers: { host: name } });
  expect(answer.status).toBe(200);
  expect(answer.body).toContain(`["host","${name}"`);
});

test('header rules: platform and hop-by-hop headers stay, the rest passes as it came', async () => {
  const answer = await rig.ask('one', {
    headers: {
      'X-AWS-Proxy-Force-H2': 'false',
      'x-aws-proxy-anything': '1',
      Connection: 'x-secret, host, X-Amzn-RequestId',
      'X-Secret': 'for the next hop only',
      TE: 'trailers',
      'x-amzn-requestid': 'chosen by the client',
      'X-Kept': 'a, b',
    },
  });
  const seen: string[] = JSON.parse(answer.body.slice(4));
  const names = seen.filter((_, i) => i % 2 === 0).map((name) => name.toLowerCase());
  expect(names.sort()).toEqual(['connection', 'host', 'x-amzn-requestid', 'x-kept']);
  expect(seen[seen.indexOf('X-Kept') + 1]).toBe('a, b');
  expect(seen[seen.indexOf('connection') + 1]).toBe('keep-alive');
  expect(seen[seen.indexOf('x-amzn-requestid') + 1]).toBe(answer.headers['x-amzn-requestid']);
});

test.each([
  ['GET http://one.vm.localhost/ HTTP/1.1\r\nHost: one.vm.localhost\r\n\r\n', '400'],
  ['OPTIONS * HTTP/1.1\r\nHost: one.vm.localhost\r\nConnection: close\r\n\r\n', '400'],
  ['CONNECT example.com:443 HTTP/1.1\r\nHost: one.vm.localhost\r\n\r\n', '400'],
  ['GET / HTTP/1.1\r\nConnection: close\r\n\r\n', '400'],
  ['GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', '400'],
  ['GET / HTTP/1.1\r\nHost: one.vm.localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n', '400'],
  [`GET / HTTP/1.1\r\nHost: one.vm.localhost\r\nX: ${'x'.repeat(17_000)}\r\n\r\n`, '431'],
  [`GET / HTTP/1.1\r\nHost: one.vm.localhost\r\nX: ${'x'.repeat(1 << 20)}\r\n\r\n`, '431'],
  ['GET / HTTP/1.1\r\nHost: one.vm.localhost\r\nExpect: the-unexpected\r\nConnection: close\r\n\r\n', '400'],
  ['\u0000\u0001\u0002\r\n\r\n', '400'],
])('malformed request %#', async (text, status) => {
  const socket = await rig.raw('one');
  socket.write(text);
  if (text.includes('http://')) socket.end();
  const answer = await readAll(socket);
  expect(answer.split(' ')[1]).toBe(status);
  expect(answer.toLowerCase()).toContain('cache-control: private, no-store');
});

test('a client that dawdles over its headers is cut off', async () => {
  const socket = await rig.raw('one');
  socket.write('GET / HTTP/1.1\r\nHost: one.vm.localhost\r\n');
  expect(await readAll(socket)).toMatch(/^HTTP\/1.1 408 /);
});

test('ALPN prefers HTTP/2; TLS 1.1 and unknown protocols are refused', async () => {
  const attempt = (options: object) =>
    new Promise((resolve) => {
      const to = { host: '127.0.0.1', port: rig.port, servername: hostOf('one'), ca: rig.ca };
      const socket = connect({ ...to, ...options }, () => {
        resolve(socket.alpnProtocol);
        socket.destroy();
      });
      socket.on('error', () => resolve('refused'));
    });
  expect(await attempt({ ALPNProtocols: ['h2', 'http/1.1'] })).toBe('h2');
  expect(await attempt({ ALPNProtocols: ['http/1.1', 'h2'] })).toBe('h2');
  expect(await attempt({ ALPNProtocols: ['http/1.1'] })).toBe('http/1.1');
  expect(await attempt({})).toBe(false);
  expect(await attempt({ ALPNProtocols: ['http/1.0'] })).toBe('refused');
  expect(await attempt({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1' })).toBe('refused');
});

test('a connection above the limit is not served, and a silent one does not count for ever', async () => {
  await using small = await startRig({ maxConnections: 1, headersTimeoutMs: 300 });
  await small.app('one', (_, res) => res.end('ok'));
  const silent = await small.raw('one');
  await expect(small.ask('one')).rejects.toThrow(/ECONNRESET|hang up|disconnected/);
  await readAll(silent);
  expect((await small.ask('one')).body).toBe('ok');
});

test('without `explain` a refusal has no header that AWS lacks', async () => {
  await using plain = await startRig({ explain: false });
  const { headers } = await plain.ask('one');
  expect(Object.keys(headers).sort()).toEqual([
    'cache-control',
    'connection',
    'content-length',
    'date',
    'x-amzn-requestid',
  ]);
});

test('a renewed certificate is used for new connections', async () => {
  await using fresh = await startRig();
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-renewed-'));
  fresh.gateway.useCertificate(
    await openAuthority({ directory, suffix: 'vm.localhost', loopback: false, clock: systemClock }),
  );
  await rm(directory, { recursive: true });
  await expect(fresh.ask('one')).rejects.toThrow(/certificate/);
});
