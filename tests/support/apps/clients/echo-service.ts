// A gRPC service with calls of all four kinds. Messages are text.
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
  status,
} from '@grpc/grpc-js';

export const serialize = (text: string): Buffer => Buffer.from(text);
export const deserialize = (bytes: Buffer): string => bytes.toString();
const method = (name: string, requestStream: boolean, responseStream: boolean) => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: serialize,
  requestDeserialize: deserialize,
  responseSerialize: serialize,
  responseDeserialize: deserialize,
});
export const echoService = {
  unary: method('Unary', false, false),
  gather: method('Gather', true, false),
  scatter: method('Scatter', false, true),
  talk: method('Talk', true, true),
} satisfies ServiceDefinition;

/** Calls that ended before they were answered. */
export const cancelled = { count: 0 };
const countCancelled = (): void => {
  cancelled.count += 1;
};

const unary: handleUnaryCall<string, string> = (call, answer) => {
  if (call.request === 'fail') return answer({ code: status.FAILED_PRECONDITION, details: 'as you wish' });
  if (call.request === 'hang') {
    call.on('cancelled', countCancelled);
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
  call.on('cancelled', countCancelled);
};

/** Listens on `address`, `HOST:PORT`. */
export async function startEcho(address: string): Promise<{ server: Server; port: number }> {
  const server = new Server();
  server.addService(echoService, { unary, gather, scatter, talk });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { server, port };
}
