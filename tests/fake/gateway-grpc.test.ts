// gRPC through the gateway: a client and a server of grpc-js, over TLS and HTTP/2 to the gateway and over HTTP/2 without TLS to the application.
import {
  Client,
  credentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  InterceptingCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hostOf, type Rig, startRig, until } from './gateway-rig.ts';

const serialize = (text: string): Buffer => Buffer.from(text);
const deserialize = (bytes: Buffer): string => bytes.toString();
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: serialize,
  requestDeserialize: deserialize,
  responseSerialize: serialize,
  responseDeserialize: deserialize,
});
const service = {
  unary: method('Unary', false, false),
  gather: method('Gather', true, false),
  scatter: method('Scatter', false, true),
  talk: method('Talk', true, true),
} satisfies ServiceDefinition;

const seen = { cancelled: 0, late: 0 };
const unary: handleUnaryCall<string, string> = (call, answer) => {
  if (call.request === 'fail') return answer({ code: status.FAILED_PRECONDITION, details: 'as you wish' });
  if (call.request === 'hang') {
    call.on('cancelled', () => {
      seen.cancelled += 1;
    });
    return;
  }
  const trailer = new Metadata();
  trailer.set('x-trailer', 'end');
  trailer.set('x-bytes-bin', Buffer.from([0, 255]));
  answer(null, `${call.request}!`, trailer);
};
const gather: handleClientStreamingCall<string, string> = (call, answer) => {
  const parts: string[] = [];
  call.on('data', (part: string) => {
    parts.push(part);
    // An answer before the client has said all.
    if (part === 'stop') answer({ code: status.RESOURCE_EXHAUSTED, details: 'enough' });
  });
  call.on('end', () => answer(null, parts.join()));
};
const scatter: handleServerStreamingCall<string, string> = (call) => {
  for (let i = 0; i < Number(call.request); i++) call.write(`${i}`.repeat(1_000));
  call.end();
};
const talk: handleBidiStreamingCall<string, string> = (call) => {
  call.on('data', (part: string) => call.write(part.toUpperCase()));
  call.on('end', () => call.end());
  call.on('cancelled', () => {
    seen.cancelled += 1;
  });
};

let rig: Rig;
let server: Server;
let client: Client;
beforeAll(async () => {
  rig = await startRig();
  server = new Server();
  server.addService(service, { unary, gather, scatter, talk });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  rig.plane.vms.set('vm', { ports: new Map([[8080, port]]), asleep: false, autoResume: true });
  const token = await rig.token('vm');
  client = new Client(`127.0.0.1:${rig.port}`, credentials.createSsl(Buffer.from(rig.ca)), {
    'grpc.ssl_target_name_override': hostOf('vm'),
    'grpc.default_authority': hostOf('vm'),
    'grpc.enable_retries': 0,
    interceptors: [
      (options, next) =>
        new InterceptingCall(next(options), {
          start(metadata, listener, start) {
            metadata.set('x-aws-proxy-auth', token);
            metadata.set('x-aws-proxy-force-h2', 'true');
            start(metadata, listener);
          },
        }),
    ],
  });
});
afterAll(async () => {
  client.close();
  server.forceShutdown();
  await rig[Symbol.asyncDispose]();
});

interface UnaryResult {
  error: ServiceError | null;
  value: string | undefined;
  trailer: Metadata | undefined;
}

const callUnary = (request: string, deadlineMs = 10_000): Promise<UnaryResult> =>
  new Promise((resolve) => {
    let result: UnaryResult = { error: null, value: undefined, trailer: undefined };
    const call = client.makeUnaryRequest(
      service.unary.path,
      serialize,
      deserialize,
      request,
      { deadline: Date.now() + deadlineMs },
      (error, value) => {
        result = { ...result, error, value };
      },
    );
    call.on('status', ({ metadata }) => resolve({ ...result, trailer: metadata }));
  });

test('unary, with trailers of text and of bytes', async () => {
  const { error, value, trailer } = await callUnary('hello');
  expect([error, value]).toEqual([null, 'hello!']);
  expect(trailer?.get('x-trailer')).toEqual(['end']);
  expect(trailer?.get('x-bytes-bin')).toEqual([Buffer.from([0, 255])]);
});

test('a status in trailers only', async () => {
  const { error } = await callUnary('fail');
  expect(error).toMatchObject({ code: status.FAILED_PRECONDITION, details: 'as you wish' });
});

test('a large message each way', async () => {
  const large = 'x'.repeat(3 << 20);
  expect((await callUnary(large)).value?.length).toBe(large.length + 1);
});

test('a deadline of the client cancels the call at the server', async () => {
  const before = seen.cancelled;
  const { error } = await callUnary('hang', 300);
  expect(error?.code).toBe(status.DEADLINE_EXCEEDED);
  await until(() => seen.cancelled > before);
});

test('a stream of the client', async () => {
  const value = await new Promise((resolve, reject) => {
    const call = client.makeClientStreamRequest(service.gather.path, serialize, deserialize, (error, answer) =>
      error ? reject(error) : resolve(answer),
    );
    for (const part of ['a', 'b', 'c']) call.write(part);
    call.end();
  });
  expect(value).toBe('a,b,c');
});

test('an answer in the middle of the client’s stream', async () => {
  const error = await new Promise((resolve) => {
    const call = client.makeClientStreamRequest(service.gather.path, serialize, deserialize, resolve);
    call.write('a');
    call.write('stop');
  });
  expect(error).toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: 'enough' });
  expect((await callUnary('after')).value).toBe('after!');
});

test('a stream of the server', async () => {
  const call = client.makeServerStreamRequest(service.scatter.path, serialize, deserialize, '500');
  let count = 0;
  for await (const part of call) expect(part).toBe(`${count++}`.repeat(1_000));
  expect(count).toBe(500);
});

test('streams both ways, word by word, ended by the client or cancelled', async () => {
  const call = client.makeBidiStreamRequest(service.talk.path, serialize, deserialize);
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
  const second = client.makeBidiStreamRequest(service.talk.path, serialize, deserialize);
  second.on('error', () => {});
  second.write('x');
  await new Promise((resolve) => second.once('data', resolve));
  const before = seen.cancelled;
  second.cancel();
  await until(() => seen.cancelled > before);
});

test('a refusal of the gateway has the status that gRPC makes of it', async () => {
  const stranger = new Client(`127.0.0.1:${rig.port}`, credentials.createSsl(Buffer.from(rig.ca)), {
    'grpc.ssl_target_name_override': hostOf('vm'),
    'grpc.default_authority': hostOf('vm'),
  });
  const error = await new Promise((resolve) => {
    stranger.makeUnaryRequest(service.unary.path, serialize, deserialize, 'x', resolve);
  });
  expect(error).toMatchObject({ code: status.PERMISSION_DENIED });
  stranger.close();
});

test('everything that was counted in is counted out', () => until(() => rig.plane.ended === rig.plane.begun));
