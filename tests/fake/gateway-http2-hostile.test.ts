// Clients of HTTP/2 that misbehave: what they may hold, and for how long.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Rig, startRig, until } from './gateway-rig.ts';
import { askHttp2, openSession } from './http2-client.ts';
import { block, flags, frame, frameTypes, type RawHttp2, rawHttp2, requestBlock } from './http2-frames.ts';

let rig: Rig;
let raw: RawHttp2;
beforeEach(async () => {
  rig = await startRig({ headersTimeoutMs: 500, keepAliveMs: 700 });
  await rig.app('vm', (_, res) => res.end('ok'));
  raw = await rawHttp2(rig, 'vm');
});
afterEach(async () => {
  raw.socket.destroy();
  await rig[Symbol.asyncDispose]();
});

const headers = (stream: number, payload: Buffer, bits = flags.endHeaders | flags.endStream): Buffer =>
  frame(frameTypes.headers, bits, stream, payload);
const has = (type: number, stream?: number) =>
  raw.frames.some((one) => one.type === type && (stream === undefined || one.stream === stream));

/** The gateway still serves others. */
async function expectServing(): Promise<void> {
  const session = openSession(rig, 'vm');
  expect((await askHttp2(rig, session, 'vm')).body).toBe('ok');
  session.destroy();
}

test('a connection that says nothing, or only its preface, is closed', async () => {
  const silent = await rawHttp2(rig, 'vm', false);
  await Promise.all([silent.closed, raw.closed]);
});

test('headers that dribble in are cut off', async () => {
  const whole = await requestBlock(rig, 'vm');
  raw.socket.write(headers(1, whole.subarray(0, 10), flags.endStream));
  let at = 10;
  const dribble = setInterval(() => {
    if (!raw.socket.destroyed) raw.socket.write(frame(frameTypes.continuation, 0, 1, whole.subarray(at, ++at)));
  }, 50);
  await raw.closed;
  clearInterval(dribble);
  expect(rig.plane.begun).toBe(0);
});

test('a connection without requests is closed after a while; one with a silent request is not', async () => {
  let release = (): void => {};
  await rig.app('vm', (_, res) => {
    res.flushHeaders();
    release = () => res.end('late');
  });
  raw.socket.write(headers(1, await requestBlock(rig, 'vm')));
  await until(() => has(frameTypes.headers, 1));
  await sleep(1_500);
  expect(raw.socket.destroyed).toBe(false);
  release();
  await until(() => has(frameTypes.data, 1));
  await raw.closed;
});

test('streams that are opened and reset at once end the connection (CVE-2023-44487)', async () => {
  const payload = await requestBlock(rig, 'vm');
  for (let stream = 1; stream < 10_000 && !raw.socket.destroyed; stream += 2) {
    raw.socket.write(headers(stream, payload));
    raw.socket.write(frame(frameTypes.rst, 0, stream, Buffer.from([0, 0, 0, 8])));
    if (stream % 200 === 1) await sleep(1);
  }
  await raw.closed;
  expect(rig.plane.begun).toBeLessThan(2_000);
  await until(() => rig.plane.ended === rig.plane.begun);
  await expectServing();
});

test('more streams at once than allowed end the connection', async () => {
  await rig[Symbol.asyncDispose]();
  rig = await startRig({ maxStreams: 10 });
  await rig.app('vm', (_, res) => res.flushHeaders());
  raw = await rawHttp2(rig, 'vm');
  const payload = await requestBlock(rig, 'vm');
  await until(() => has(frameTypes.settings));
  raw.socket.write(frame(frameTypes.settings, flags.ack, 0));
  for (let stream = 1; stream < 60; stream += 2) raw.socket.write(headers(stream, payload));
  await raw.closed;
  expect(has(frameTypes.goaway)).toBe(true);
  expect(rig.plane.begun).toBeLessThanOrEqual(10);
  await until(() => rig.plane.ended === rig.plane.begun);
});

test.each([
  ['settings', frame(frameTypes.settings, 0, 0)],
  ['pings', frame(frameTypes.ping, 0, 0, Buffer.alloc(8))],
])('a flood of %s from a client that does not read ends the connection', async (_, one) => {
  raw.socket.pause();
  const many = Buffer.concat(Array.from({ length: 1_000 }, () => one));
  let sent = 0;
  while (!raw.socket.destroyed && sent < 3_000) {
    sent += 1;
    if (!raw.socket.write(many))
      await Promise.race([new Promise((resolve) => raw.socket.once('drain', resolve)), sleep(2_000)]);
  }
  raw.socket.resume();
  await raw.closed;
  expect(sent).toBeLessThan(3_000);
  await expectServing();
});

test('a flood of continuation frames ends the connection', async () => {
  raw.socket.write(headers(1, block([['a', 'b']]), 0));
  for (let i = 0; i < 1_000 && !raw.socket.destroyed; i++) {
    raw.socket.write(frame(frameTypes.continuation, 0, 1, block([[`x-${i}`, 'y'.repeat(100)]])));
    if (i % 50 === 0) await sleep(1);
  }
  await raw.closed;
  await expectServing();
});

test('headers beyond the limit are refused', async () => {
  const many = Array.from({ length: 30 }, (_, i): [string, string] => [`x-${i}`, 'y'.repeat(1_000)]);
  const whole = await requestBlock(rig, 'vm', many);
  raw.socket.write(headers(1, whole.subarray(0, 16_000), flags.endStream));
  raw.socket.write(frame(frameTypes.continuation, 0, 1, whole.subarray(16_000, 32_000)));
  raw.socket.write(frame(frameTypes.continuation, flags.endHeaders, 1, whole.subarray(32_000)));
  await until(() => has(frameTypes.headers, 1) || has(frameTypes.rst, 1) || has(frameTypes.goaway));
  expect(rig.plane.begun).toBe(0);
});

test.each([
  ['connection', 'close'],
  ['transfer-encoding', 'chunked'],
  ['upgrade', 'h2c'],
  ['keep-alive', 'timeout=5'],
  ['te', 'gzip'],
  ['X-Upper', 'case'],
  ['host', 'other.vm.localhost'],
  [':path', '/second'],
  [':unknown', 'x'],
  ['content-length', '5'],
])('a request with %s: %j is malformed', async (name, value) => {
  const payload = await requestBlock(rig, 'vm', [[name, value]]);
  raw.socket.write(headers(1, payload));
  await until(
    () => has(frameTypes.rst, 1) || has(frameTypes.goaway) || has(frameTypes.headers, 1) || raw.socket.destroyed,
  );
  expect(rig.plane.begun).toBe(0);
});

test.each([
  ['x-line', 'a\r\nx-second: b'],
  ['x-null', 'a\0b'],
  ['x y', 'z'],
])('a header %j: %j does not pass', async (name, value) => {
  let seen = '';
  await rig.app('vm', (req, res) => {
    seen = req.rawHeaders.join('\n');
    res.end();
  });
  raw.socket.write(
    headers(
      1,
      await requestBlock(rig, 'vm', [
        [name, value],
        ['x-last', '1'],
      ]),
    ),
  );
  await until(() => seen !== '' || has(frameTypes.rst, 1));
  expect(seen).not.toMatch(/x-line|x-second|x-null|x y/);
});

test.each([
  [':path', 'no-slash'],
  [':path', '/with space'],
  [':path', ''],
  [':path', 'http://vm.vm.localhost/'],
])('a request with %s: %j is refused', async (name, value) => {
  const whole: [string, string][] = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', 'vm.vm.localhost'],
    ['x-aws-proxy-auth', await rig.token('vm')],
  ];
  raw.socket.write(headers(1, block([...whole.slice(0, 3), [name, value], ...whole.slice(3)])));
  await until(
    () => raw.frames.some(({ stream, type }) => stream === 1 && type !== frameTypes.window) || has(frameTypes.goaway),
  );
  expect(rig.plane.begun).toBe(0);
});

test.each(['chunked', 'length', 'until the end'])(
  'a broken answer (%s) never carries the end of its stream',
  async (framing) => {
    await rig.app('vm', (_, res) => {
      if (framing === 'until the end') {
        res.useChunkedEncodingByDefault = false;
        res.shouldKeepAlive = false;
      }
      res.writeHead(200, framing === 'length' ? { 'content-length': '9' } : {});
      res.write('part', () => setTimeout(() => res.socket?.resetAndDestroy(), 20));
    });
    raw.socket.write(headers(1, await requestBlock(rig, 'vm')));
    await until(() => has(frameTypes.rst, 1));
    const data = raw.frames.filter(({ type, stream }) => type === frameTypes.data && stream === 1);
    expect(Buffer.concat(data.map(({ payload }) => payload)).toString()).toBe('part');
    expect(data.every((one) => (one.flags & flags.endStream) === 0)).toBe(true);
  },
);
