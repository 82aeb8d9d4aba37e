// HTTP/2 of clients, in front of applications that speak HTTP/1.1. Reference f.1, f.4, f.5, f.7.
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { RequestListener, ServerResponse } from 'node:http';
import { type ClientHttp2Session, constants } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';
import { type Rig, startRig, until } from './gateway-rig.ts';
import { answerOf, askHttp2, openSession } from './http2-client.ts';
import { hostOf } from './pretended-plane.ts';

const mib = 1024 * 1024;
let rig: Rig;
let session: ClientHttp2Session;
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-http2-'));
  rig = await startRig();
  session = openSession(rig, 'vm');
});
afterEach(async () => {
  session.destroy();
  await rig[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

const echo: RequestListener = (req, res) => {
  req.pipe(res);
};
const tellHeaders: RequestListener = (req, res) => {
  res.end(JSON.stringify(req.rawHeaders));
};
const ask = (headers = {}, body?: string | Buffer) => askHttp2(rig, session, 'vm', headers, body);
const post = async (headers = {}) =>
  session.request({ ':method': 'POST', 'x-aws-proxy-auth': await rig.token('vm'), ...headers });

test('a request comes as HTTP/1.1: names and values as they were, cookies in one line, the platform’s taken out', async () => {
  await rig.app('vm', tellHeaders);
  const { status, headers, body } = await ask({
    ':path': '/a?b=c',
    cookie: ['a=1', 'b=2', 'c=3'],
    te: 'trailers',
    'x-kept': 'a, b',
    'x-aws-proxy-anything': 'x',
    'x-amzn-requestid': 'mine',
  });
  expect(status).toBe(200);
  const seen: string[] = JSON.parse(body);
  const names = seen.filter((_, i) => i % 2 === 0);
  expect(names.sort()).toEqual(['connection', 'cookie', 'host', 'x-amzn-requestid', 'x-kept']);
  expect(seen[seen.indexOf('host') + 1]).toBe(`${hostOf('vm')}:${rig.port}`);
  expect(seen[seen.indexOf('cookie') + 1]).toBe('a=1; b=2; c=3');
  expect(seen[seen.indexOf('x-amzn-requestid') + 1]).toBe(headers['x-amzn-requestid']);
});

test('an answer goes out as HTTP/2: names in lower case, repeated ones stay, what belongs to one connection goes', async () => {
  await rig.app('vm', (_, res) => {
    res.writeHead(299, 'Quite Fine', [
      'Set-Cookie',
      'a=1',
      'Set-Cookie',
      'b=2',
      'X-Own',
      '1',
      'Connection',
      'X-Own',
      'Keep-Alive',
      'x',
    ]);
    res.end('ok');
  });
  const { status, rawHeaders, body } = await ask();
  expect([status, body]).toEqual([299, 'ok']);
  expect(rawHeaders.slice(2, 6)).toEqual(['set-cookie', 'a=1', 'set-cookie', 'b=2']);
  const names = rawHeaders.filter((_, i) => i % 2 === 0);
  for (const name of ['x-own', 'connection', 'keep-alive', 'transfer-encoding']) expect(names).not.toContain(name);
});

test('refusals are the same as over HTTP/1.1', async () => {
  await rig.app('vm', echo);
  const cases: [Record<string, unknown>, number, string, string][] = [
    [{ 'x-aws-proxy-auth': 'x' }, 403, 'Request missing authentication', 'token_missing'],
    [{ 'x-aws-proxy-port': '0' }, 400, 'Invalid port', 'port_malformed'],
    [{ 'x-aws-proxy-auth': await rig.token('vm', [9]) }, 403, 'Access to port denied', 'port_denied'],
    [{ 'x-aws-proxy-port': '9' }, 502, '', 'application_unreachable'],
    [{ ':authority': hostOf('other') }, 421, '', 'host_mismatch'],
    [{ ':path': '*', ':method': 'OPTIONS' }, 400, 'Bad request', 'malformed_request'],
    [{ expect: 'the-unexpected' }, 400, 'Bad request', 'malformed_request'],
  ];
  for (const [headers, status, body, reason] of cases) {
    const answer = await ask(headers);
    expect([headers, answer.status, answer.body]).toEqual([headers, status, body]);
    expect(answer.headers['x-waterbear-reason']).toBe(reason);
    expect(answer.headers['cache-control']).toBe('private, no-store');
    expect(answer.headers['x-amzn-requestid']).toMatch(/^[0-9a-f-]{36}$/);
  }
  expect((await ask()).status).toBe(200);
});

test('a connection of another name is of no use for this one', async () => {
  await rig.app('vm', echo);
  const other = openSession(rig, 'other');
  const answer = await askHttp2(rig, other, 'vm', { ':authority': hostOf('vm') });
  expect(answer.status).toBe(421);
  other.destroy();
});

test('bodies pass both ways, and many requests at once share a connection', async () => {
  await rig.app('vm', echo);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask({ ':method': 'POST' }, `body ${i}`)));
  expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 50 }, (_, i) => `body ${i}`));
  await until(() => rig.plane.ended === 50);
});

test('64 MiB each way at once: what is under way stays small', async () => {
  await rig.app('vm', echo);
  const total = 64 * mib;
  const chunk = Buffer.alloc(256 * 1024, 'x');
  const stream = await post();
  let [sent, received, most] = [0, 0, 0];
  const feed = async (): Promise<void> => {
    for (; sent < total; sent += chunk.length) if (!stream.write(chunk)) await once(stream, 'drain');
    stream.end();
  };
  const fed = feed();
  for await (const part of stream) {
    received += part.length;
    most = Math.max(most, sent - received);
  }
  await fed;
  expect(received).toBe(total);
  expect(most).toBeLessThan(16 * mib);
});

test('an application that does not read stops the client, and no other request with it', async () => {
  await rig.app('vm', (req, res) => (req.url === '/stuck' ? res.flushHeaders() : res.end('ok')));
  const stream = await post({ ':path': '/stuck' });
  stream.on('error', () => {});
  let sent = 0;
  const chunk = Buffer.alloc(256 * 1024);
  for (let stuck = false; !stuck && sent < 64 * mib; sent += chunk.length) {
    if (!stream.write(chunk)) stuck = (await Promise.race([once(stream, 'drain'), sleep(700, 'stuck')])) === 'stuck';
  }
  expect(sent).toBeLessThan(32 * mib);
  expect((await ask()).body).toBe('ok');
  stream.close(constants.NGHTTP2_CANCEL);
});

test('a client that does not read stops the application', async () => {
  let [written, lastMs] = [0, Date.now()];
  await rig.app('vm', (_, res) => {
    const more = (): void => {
      lastMs = Date.now();
      while (written < 64 * mib) {
        written += mib;
        if (!res.write(Buffer.alloc(mib))) return void res.once('drain', more);
      }
    };
    more();
  });
  const stream = session.request({ 'x-aws-proxy-auth': await rig.token('vm') });
  stream.pause();
  await until(() => written > 0 && Date.now() - lastMs > 1_000);
  expect(written).toBeLessThan(32 * mib);
  stream.close(constants.NGHTTP2_CANCEL);
});

test('server-sent events arrive one by one, the headers before the first', async () => {
  const held = Promise.withResolvers<ServerResponse>();
  await rig.app('vm', (_, res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders();
    held.resolve(res);
  });
  const stream = session.request({ 'x-aws-proxy-auth': await rig.token('vm') });
  const [headers] = await once(stream, 'response');
  expect(headers['content-type']).toBe('text/event-stream');
  const res = await held.promise;
  for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
    res.write(text);
    const [part] = await once(stream, 'data');
    expect(String(part)).toBe(text);
  }
  res.end();
  await once(stream, 'end');
});

test('trailers of a chunked answer pass', async () => {
  await rig.app('vm', (_, res) => {
    res.writeHead(200, { trailer: 'x-sum' });
    res.write('ok');
    res.addTrailers({ 'X-Sum': '7' });
    res.end();
  });
  expect(await ask()).toMatchObject({ body: 'ok', trailers: { 'x-sum': '7' } });
});

test('HEAD, 204 and 304 have no body and keep their headers', async () => {
  await rig.app('vm', (req, res) => {
    const status = Number(req.url?.slice(1));
    res.writeHead(status, status === 204 ? {} : { 'content-length': '5', etag: '"e"' });
    res.end(status === 200 ? 'hello' : undefined);
  });
  const head = await ask({ ':method': 'HEAD', ':path': '/200' });
  expect([head.status, head.headers['content-length'], head.body]).toEqual([200, '5', '']);
  expect(await ask({ ':path': '/204' })).toMatchObject({ status: 204, body: '' });
  expect(await ask({ ':path': '/304' })).toMatchObject({ status: 304, body: '', headers: { etag: '"e"' } });
  expect((await ask({ ':path': '/200' })).body).toBe('hello');
});

test('Expect: 100-continue: asked for only when the application takes the body', async () => {
  await rig.app('vm', echo);
  const stream = await post({ expect: '100-continue', 'content-length': '4' });
  const answer = answerOf(stream);
  await once(stream, 'continue');
  stream.end('body');
  expect((await answer).body).toBe('body');
});

test('a client that resets its stream is felt by the application, before and in the answer', async () => {
  let [begun, left] = [0, 0];
  await rig.app('vm', (req, res) => {
    begun += 1;
    res.once('close', () => {
      left += 1;
    });
    if (req.url === '/half') res.write('half');
  });
  for (const path of ['/none', '/half']) {
    const stream = session.request({ ':path': path, 'x-aws-proxy-auth': await rig.token('vm') });
    stream.on('error', () => {});
    const before = begun;
    await until(() => begun > before);
    if (path === '/half') await once(stream, 'data');
    stream.close(constants.NGHTTP2_CANCEL);
    await until(() => left === begun);
  }
  await until(() => rig.plane.ended === 2);
  expect(session.destroyed).toBe(false);
});

test('an application that breaks off its answer is seen as a reset, never as an end', async () => {
  await rig.app('vm', (req, res) => {
    res.writeHead(200, req.url === '/length' ? { 'content-length': '9' } : {});
    res.write('part', () => setTimeout(() => res.destroy(), 20));
  });
  for (const path of ['/length', '/chunked']) await expect(ask({ ':path': path })).rejects.toThrow(/INTERNAL_ERROR/);
  await rig.app('gone', (_, res) => res.destroy());
  const other = openSession(rig, 'gone');
  expect(await askHttp2(rig, other, 'gone')).toMatchObject({ status: 502, body: '' });
  other.destroy();
});

test('an answer before the body was sent reaches the client, who may stop then', async () => {
  await rig.app('vm', (_, res) => res.writeHead(413).end('too much'));
  const stream = await post({ 'content-length': String(64 * mib) });
  stream.write(Buffer.alloc(mib));
  expect(await answerOf(stream)).toMatchObject({ status: 413, body: 'too much' });
  expect(session.destroyed).toBe(false);
});

test('an answer that HTTP/2 cannot carry is a 502', async () => {
  await rig.app('vm', (_, res) => res.writeHead(999).end('odd'));
  expect(await ask()).toMatchObject({ status: 502, body: '' });
});

test.each([
  ['--http1.1', '1.1'],
  ['--http2', '2'],
])('curl %s', async (option, version) => {
  await rig.app('vm', echo);
  const to = ['--connect-to', `${hostOf('vm')}:443:127.0.0.1:${rig.port}`, `https://${hostOf('vm')}/`];
  const token = ['-H', `x-aws-proxy-auth: ${await rig.token('vm')}`];
  const ca = join(directory, 'ca.pem');
  await writeFile(ca, rig.ca);
  const args = ['-sS', option, '--noproxy', '*', '--cacert', ca, '-w', ' %{http_version} %{http_code}', '-d', 'hello'];
  const { stdout } = await run('curl', [...args, ...token, ...to], { timeoutMs: 10_000 });
  expect(stdout).toBe(`hello ${version} 200`);
});
