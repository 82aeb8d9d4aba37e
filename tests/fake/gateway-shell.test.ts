// The shell's WebSocket through the gateway, with the tiny shell of the fake driver behind it. Reference g.
import { once } from 'node:events';
import type { OutgoingHttpHeaders, RequestListener } from 'node:http';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { encodeFrame } from '../../src/contract/shell-frames.ts';
import { type Client, clientOver, newClient, opened } from '../support/web-socket-client.ts';
import { type Rig, startRig, until } from './gateway-rig.ts';
import { answerOf, askHttp2, openSession } from './http2-client.ts';
import { hostOf } from './pretended-plane.ts';

let rig: Rig;
let token: string;
const hello: RequestListener = (req, res) => res.end(`application ${req.url}`);
beforeEach(async () => {
  rig = await startRig();
  await rig.app('vm', hello);
  token = await shellToken();
});
afterEach(() => rig[Symbol.asyncDispose]());

const shellToken = (): Promise<string> =>
  rig.tokens.mint({ microvmId: 'vm', ports: [], shell: true, expiresAtMs: Date.now() + 60_000 });

const connect = (path = '/shell', headers: Record<string, string> = { 'x-aws-proxy-auth': token }): Client =>
  newClient({ url: `wss://${hostOf('vm')}:${rig.port}${path}`, ca: rig.ca, headers });

test.each(['/', '/shell', '/shell?x=1'])('%s: session, bytes both ways, resize, end', async (path) => {
  const shell = await opened(connect(path));
  await shell.until('λ $ ');
  expect(shell.heard.control).toEqual([{ type: 'session_init', session_id: expect.stringMatching(/^[0-9a-f-]{36}$/) }]);
  shell.type('size\r');
  await shell.until('0 0\r\n');
  shell.tell({ type: 'resize', cols: 120, rows: 40 });
  shell.socket.send('size\r');
  await shell.until('40 120\r\n');
  expect(rig.plane.touches).toBeGreaterThan(2);
  expect(rig.plane.ended).toBe(0);
  shell.type('exit 3\r');
  expect(await shell.closed()).toEqual({ code: 1000, reason: 'shell exited' });
  expect(shell.heard.control.at(-1)).toEqual({ type: 'exit', code: 3 });
  await until(() => rig.plane.ended === rig.plane.begun && rig.plane.shells.every((one) => one.destroyed));
});

test('a browser authenticates by subprotocol; the marker is selected', async () => {
  const offered = ['lambda-microvms', `lambda-microvms.authentication.${token}`, 'lambda-microvms.port.8022'];
  const url = `wss://${hostOf('vm')}:${rig.port}/shell`;
  const shell = await opened(newClient({ url, ca: rig.ca, protocols: offered }));
  expect(shell.socket.protocol).toBe('lambda-microvms');
  await shell.until('λ $ ');
  shell.socket.close();
  await until(() => rig.plane.ended === 1);
  await expect(opened(newClient({ url, ca: rig.ca, protocols: offered.slice(1) }))).rejects.toThrow('403');
});

test('what is no control message is typed; a size out of bounds is neither', async () => {
  const shell = await opened(connect());
  for (const odd of ['{"type":"unknown"}', '{not json', '[1]', '{"type":"end_of_input"}']) {
    shell.socket.send(odd);
    await shell.until(odd);
  }
  for (const cols of [0, -1, 4097, 1.5, '80', null]) shell.tell({ type: 'resize', cols, rows: 24 });
  shell.type('\rsize\r');
  expect(await shell.until('0 0\r\n')).not.toContain('resize');
  shell.socket.terminate();
});

test('a shell token opens nothing else, and another token no shell', async () => {
  const headers = { 'x-aws-proxy-auth': token };
  const shellOnly = { status: 502, body: '', headers: { 'x-waterbear-reason': 'shell_only' } };
  expect(await rig.ask('vm', { path: '/shell', headers })).toMatchObject(shellOnly);
  expect(await rig.ask('vm', { path: '/', headers })).toMatchObject(shellOnly);
  await expect(opened(connect('/ws'))).rejects.toThrow('502');
  await expect(opened(connect('/shell', {}))).rejects.toThrow('403');
  const expired = await rig.tokens.mint({ microvmId: 'vm', ports: [], shell: true, expiresAtMs: Date.now() - 1 });
  await expect(opened(connect('/shell', { 'x-aws-proxy-auth': expired }))).rejects.toThrow('403');
  // An application's own /shell.
  expect((await rig.ask('vm', { path: '/shell' })).body).toBe('application /shell');
  await expect(opened(connect('/shell', { 'x-aws-proxy-auth': await rig.token('vm') }))).rejects.toThrow('200');
  expect(rig.plane.shells).toEqual([]);
});

test('a malformed handshake is an ordinary answer, and wakes nobody', async () => {
  Object.assign(rig.plane.vms.get('vm') ?? {}, { asleep: true });
  const handshake = { host: hostOf('vm'), connection: 'upgrade', upgrade: 'websocket', 'x-aws-proxy-auth': token };
  for (const wrong of [{}, { 'sec-websocket-key': 'short' }, { 'sec-websocket-version': '12' }]) {
    const good = { 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' };
    const headers = { ...handshake, ...(Object.keys(wrong).length ? { ...good, ...wrong } : {}) };
    expect((await rig.ask('vm', { path: '/shell', headers })).status).toBe(400);
  }
  expect(rig.plane.wakes).toBe(0);
});

test('it wakes a sleeping MicroVM once, and answers 502 where it may not', async () => {
  const vm = rig.plane.vms.get('vm');
  Object.assign(vm ?? {}, { asleep: true });
  const shells = await Promise.all([1, 2, 3].map(() => opened(connect())));
  await Promise.all(shells.map((shell) => shell.until('λ $ ')));
  expect(rig.plane.wakes).toBe(1);
  for (const shell of shells) shell.socket.terminate();
  Object.assign(vm ?? {}, { asleep: true, autoResume: false });
  await expect(opened(connect())).rejects.toThrow('502');
  await until(() => rig.plane.ended === rig.plane.begun);
});

test('when its MicroVM leaves, the client hears 1001, whether or not it was reading', async () => {
  const shell = await opened(connect());
  await shell.until('λ $ ');
  const deaf = await opened(connect());
  await deaf.until('λ $ ');
  deaf.type('flood\r');
  await deaf.until('yyy');
  deaf.socket.pause();
  rig.plane.leave('vm');
  expect(await shell.closed()).toMatchObject({ code: 1001 });
  await until(() => rig.plane.ended === 2);
  deaf.socket.terminate();
});

test('a guest that breaks, refuses or talks nonsense ends with 1011, one with too many shells 1008', async () => {
  const cases: [Parameters<typeof encodeFrame>[0] | '?', number, string][] = [
    ['f', 1011, 'said'],
    ['b', 1008, 'said'],
    ['?', 1011, 'protocol'],
  ];
  for (const [kind, code, reason] of cases) {
    const shell = await opened(connect());
    await shell.until('λ $ ');
    rig.plane.shells.at(-1)?.emit('data', encodeFrame(kind as 'f', Buffer.from('said')));
    expect(await shell.closed()).toEqual({ code, reason: expect.stringContaining(reason) });
  }
  const shell = await opened(connect());
  await shell.until('λ $ ');
  rig.plane.shells.at(-1)?.destroy();
  expect(await shell.closed()).toMatchObject({ code: 1011 });
});

test('endless output waits for its reader, and a key still gets through', async () => {
  const shell = await opened(connect());
  shell.type('flood\r');
  await shell.until('yyy');
  shell.socket.pause();
  const guest = rig.plane.shells.at(-1);
  await until(() => guest?.isPaused() === true);
  expect(guest?.readableLength).toBeLessThan(1 << 20);
  const before = rig.plane.touches;
  shell.type('exit 5\r');
  await until(() => rig.plane.touches > before);
  shell.socket.resume();
  expect(await shell.closed()).toMatchObject({ code: 1000 });
  expect(shell.heard.control.at(-1)).toEqual({ type: 'exit', code: 5 });
});

test('messages have a limit, pings are answered', async () => {
  const shell = await opened(connect());
  const pong = once(shell.socket, 'pong');
  shell.socket.ping('x');
  expect(String((await pong)[0])).toBe('x');
  shell.socket.send(Buffer.alloc((1 << 20) + 1));
  expect(await shell.closed()).toMatchObject({ code: 1009 });
  await until(() => rig.plane.ended === 1 && rig.plane.shells.every((one) => one.destroyed));
});

test('commands: outputs by channel, end of input, a terminal on demand, and a bad one is told so', async () => {
  const command = connect('/shell?command');
  await opened(command);
  await until(() => command.heard.control[0]?.commands === true);
  command.tell({ type: 'command', argv: ['warn'], terminal: false });
  await command.until('\x02warning\n');
  command.type('hello');
  await command.until('\x01hello');
  command.tell({ type: 'end_of_input' });
  expect(await command.closed()).toMatchObject({ code: 1000 });
  expect(command.heard.control.at(-1)).toEqual({ type: 'exit', code: 0 });
  const terminal = await opened(connect('/shell?command'));
  terminal.tell({ type: 'command', argv: [], terminal: true, cols: 90, rows: 30 });
  await terminal.until('λ $ ');
  terminal.type('size\r');
  await terminal.until('30 90\r\n');
  terminal.socket.close();
  for (const bad of ['ls', '{"type":"command"}', '{"type":"command","argv":["a\\u0000"],"terminal":false}']) {
    const wrong = await opened(connect('/shell?command'));
    wrong.socket.send(bad);
    expect(await wrong.closed()).toMatchObject({ code: 1008 });
  }
});

test('profile aws says no more than AWS does', async () => {
  await using strict = await startRig({ explain: false });
  await strict.app('vm', hello);
  const own = await strict.tokens.mint({ microvmId: 'vm', ports: [], shell: true, expiresAtMs: Date.now() + 60_000 });
  const url = `wss://${hostOf('vm')}:${strict.port}/shell?command`;
  const shell = await opened(newClient({ url, ca: strict.ca, headers: { 'x-aws-proxy-auth': own } }));
  await shell.until('λ $ ');
  shell.type('exit 3\r');
  expect(await shell.closed()).toEqual({ code: 1000, reason: 'shell exited' });
  expect(shell.heard.control).toEqual([{ type: 'session_init', session_id: expect.any(String) }]);
});

test('a shell leaves a record, is counted, and is cut with 1008 when its token is revoked', async () => {
  const shell = await opened(connect());
  await shell.until('λ $ ');
  const openNow = () => rig.accounting.snapshot(0).byMicrovm.get('vm')?.open;
  expect(openNow()).toEqual({ requests: 0, webSockets: 1 });
  const { jti = '' } = (await rig.tokens.claimsOf(token)) ?? {};
  await rig.tokens.revokeToken('vm', jti);
  expect(await shell.closed()).toEqual({ code: 1008, reason: 'The token was revoked.' });
  await until(() => rig.records.length === 1);
  expect(rig.records[0]).toMatchObject({
    ...{ status: 101, end: 'switched', microvmId: 'vm', target: 'shell', tokenId: jti, refusal: undefined },
    ...{ path: '/shell', clientAddress: '127.0.0.1' },
  });
  expect(openNow()).toEqual({ requests: 0, webSockets: 0 });
  await expect(opened(connect())).rejects.toThrow('403');
  await until(() => rig.records.length === 2);
  expect(rig.records[1]).toMatchObject({ status: 403, end: 'refused', refusal: 'token_missing' });
});

test('it is within the limits of its endpoint', async () => {
  rig.plane.limits = { connections: 1, requestsPerSecond: 1_000, bytesPerSecond: 10_000_000 };
  const shell = await opened(connect());
  await shell.until('λ $ ');
  await expect(opened(connect())).rejects.toThrow('429 too_many_connections');
  shell.type('exit 0\r');
  await shell.closed();
  await until(() => rig.plane.signs.get('vm')?.connections === 0);
  const again = await opened(connect());
  await again.until('λ $ ');
  rig.plane.leave('vm');
  expect(await again.closed()).toMatchObject({ code: 1001 });
  await until(() => rig.plane.ended === rig.plane.begun);
});

test('one of which nobody hears anything is closed with 1008; pings are signs of life', async () => {
  await using strict = await startRig({ stallMs: 600 });
  await strict.app('vm', hello);
  const own = await strict.tokens.mint({ microvmId: 'vm', ports: [], shell: true, expiresAtMs: Date.now() + 60_000 });
  const url = `wss://${hostOf('vm')}:${strict.port}/shell`;
  const order = { url, ca: strict.ca, headers: { 'x-aws-proxy-auth': own } };
  const [silent, alive] = [await opened(newClient(order)), await opened(newClient(order))];
  const timer = setInterval(() => alive.socket.ping(), 100);
  expect(await silent.closed()).toEqual({ code: 1008, reason: 'The connection was silent for too long.' });
  expect(alive.heard.closed).toBeUndefined();
  clearInterval(timer);
  expect(await alive.closed()).toMatchObject({ code: 1008 });
});

test('over HTTP/2 it is the same, beside other requests of the connection', async () => {
  const session = openSession(rig, 'vm');
  if (!session.remoteSettings.enableConnectProtocol) await once(session, 'remoteSettings');
  const begin = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': '/shell', 'x-aws-proxy-auth': token };
  const start = (headers: OutgoingHttpHeaders) => session.request({ ...begin, ...headers }, { endStream: false });
  expect((await answerOf(start({}))).status).toBe(400);
  const good = { 'sec-websocket-version': '13' };
  expect((await answerOf(start({ ...good, ':path': '/other' }))).status).toBe(502);
  const shells: Client[] = [];
  for (let i = 0; i < 2; i++) {
    const stream = start(good);
    const [headers] = await once(stream, 'response');
    expect(headers).toMatchObject({ ':status': 200 });
    expect(headers).not.toHaveProperty('sec-websocket-accept');
    shells.push(clientOver(stream));
  }
  const [first, second] = shells;
  await first?.until('λ $ ');
  first?.type('size\r');
  await first?.until('0 0\r\n');
  expect((await askHttp2(rig, session, 'vm')).body).toBe('application /');
  first?.type('exit 4\r');
  expect(await first?.closed()).toEqual({ code: 1000, reason: 'shell exited' });
  expect(first?.heard.control.at(-1)).toEqual({ type: 'exit', code: 4 });
  await second?.until('λ $ ');
  rig.plane.leave('vm');
  expect(await second?.closed()).toMatchObject({ code: 1001 });
  await until(() => rig.plane.ended === rig.plane.begun && rig.plane.shells.every((one) => one.destroyed));
  expect(
    rig.records.filter(({ target }) => target === 'shell').map(({ protocol, status }) => [protocol, status]),
  ).toEqual([
    ['HTTP/2', 200],
    ['HTTP/2', 200],
  ]);
  session.destroy();
});
