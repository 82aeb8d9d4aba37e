// gRPC through the gateway: a client and a server of grpc-js, over TLS and HTTP/2 to the gateway and over HTTP/2 without TLS to the application.
import { Client, credentials, type Server, status } from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cancelled, deserialize, echoService, serialize, startEcho } from '../support/apps/clients/echo-service.ts';
import { EchoClient } from '../support/echo-client.ts';
import { type Rig, startRig, until } from './gateway-rig.ts';
import { hostOf } from './pretended-plane.ts';

let rig: Rig;
let server: Server;
let client: EchoClient;
beforeAll(async () => {
  rig = await startRig();
  const echo = await startEcho('127.0.0.1:0');
  server = echo.server;
  rig.plane.vms.set('vm', { ports: new Map([[8080, echo.port]]), asleep: false, autoResume: true });
  client = new EchoClient({
    ...{ address: `127.0.0.1:${rig.port}`, host: hostOf('vm'), ca: rig.ca },
    metadata: { 'x-aws-proxy-auth': await rig.token('vm'), 'x-aws-proxy-force-h2': 'true' },
  });
});
afterAll(async () => {
  client.close();
  server.forceShutdown();
  await rig[Symbol.asyncDispose]();
});

test('unary, with trailers of text and of bytes', async () => {
  const { error, value, trailer } = await client.unary('hello');
  expect([error, value]).toEqual([null, 'hello!']);
  expect(trailer?.get('x-trailer')).toEqual(['end']);
  expect(trailer?.get('x-bytes-bin')).toEqual([Buffer.from([0, 255])]);
});

test('a status in trailers only', async () => {
  const { error } = await client.unary('fail');
  expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'as you wish' });
});

test('a large message each way', async () => {
  const large = 'x'.repeat(3 << 20);
  expect((await client.unary(large)).value?.length).toBe(large.length + 1);
});

test('a deadline of the client cancels the call at the server', async () => {
  const before = cancelled.count;
  const { error } = await client.unary('hang', 300);
  expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
  await until(() => cancelled.count > before);
});

test('a stream of the client', async () => {
  expect(await client.gather(['a', 'b', 'c'])).toEqual({ error: null, value: 'a,b,c' });
});

test('an answer in the middle of the client’s stream', async () => {
  const { error } = await client.gather(['a', 'stop']);
  expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: 'enough' });
  expect((await client.unary('after')).value).toBe('after!');
});

test('a stream of the server', async () => {
  const call = client.scatter(500);
  let count = 0;
  for await (const part of call) expect(part).toBe(`${count++}`.repeat(1_000));
  expect(count).toBe(500);
});

test('streams both ways, word by word, ended by the client or cancelled', async () => {
  const call = client.talk();
  const heard: string[] = [];
  call.on('data', (part: string) => heard.push(part));
  for (const word of ['one', 'two', 'three']) {
    const before = heard.length;
    call.write(word);
    await until(() => heard.length > before);
  }
  call.end();
  await new Promise((resolve) => call.on('status', resolve));
  expect(heard).toEqual(['ONE', 'TWO', 'THREE']);
  const second = client.talk();
  second.on('error', () => {});
  second.write('x');
  await new Promise((resolve) => second.once('data', resolve));
  const before = cancelled.count;
  second.cancel();
  await until(() => cancelled.count > before);
});

test('a refusal of the gateway has the status that gRPC makes of it', async () => {
  const stranger = new Client(`127.0.0.1:${rig.port}`, credentials.createSsl(Buffer.from(rig.ca)), {
    'grpc.ssl_target_name_override': hostOf('vm'),
    'grpc.default_authority': hostOf('vm'),
  });
  const error = await new Promise((resolve) => {
    stranger.makeUnaryRequest(echoService.unary.path, serialize, deserialize, 'x', resolve);
  });
  expect(error).toMatchObject({ code: status.PERMISSION_DENIED });
  stranger.close();
});

test('everything that was counted in is counted out', () => until(() => rig.plane.ended === rig.plane.begun));
