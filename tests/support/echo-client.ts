// Calls of the echo service through a gateway, for tests: the token goes with each call.
import { Client, credentials, InterceptingCall, type Metadata, type ServiceError } from '@grpc/grpc-js';
import { deserialize, echoService, serialize } from './apps/clients/echo-service.ts';

export interface UnaryResult {
  error: ServiceError | null;
  value: string | undefined;
  trailer: Metadata | undefined;
}

export interface GrpcEndpoint {
  /** `HOST:PORT` to connect to. */
  address: string;
  /** Name in the certificate and in `:authority`. */
  host: string;
  /** PEM. */
  ca: string;
  /** Sent with every call. */
  metadata: Readonly<Record<string, string>>;
}

export class EchoClient extends Client {
  constructor({ address, host, ca, metadata }: GrpcEndpoint) {
    super(address, credentials.createSsl(Buffer.from(ca)), {
      'grpc.ssl_target_name_override': host,
      'grpc.default_authority': host,
      'grpc.enable_retries': 0,
      interceptors: [
        (options, next) =>
          new InterceptingCall(next(options), {
            start(given, listener, start) {
              for (const [name, value] of Object.entries(metadata)) given.set(name, value);
              start(given, listener);
            },
          }),
      ],
    });
  }

  unary(request: string, deadlineMs = 10_000): Promise<UnaryResult> {
    return new Promise((resolve) => {
      let result: UnaryResult = { error: null, value: undefined, trailer: undefined };
      const call = this.makeUnaryRequest(
        echoService.unary.path,
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
  }

  /** A stream of the client; it is ended unless the last of `parts` is `stop`. */
  gather(parts: readonly string[]): Promise<Pick<UnaryResult, 'error' | 'value'>> {
    return new Promise((resolve) => {
      const { path } = echoService.gather;
      const call = this.makeClientStreamRequest(path, serialize, deserialize, (error, value) =>
        resolve({ error, value }),
      );
      for (const part of parts) call.write(part);
      if (parts.at(-1) !== 'stop') call.end();
    });
  }

  scatter = (count: number) =>
    this.makeServerStreamRequest(echoService.scatter.path, serialize, deserialize, `${count}`);

  talk = () => this.makeBidiStreamRequest(echoService.talk.path, serialize, deserialize);
}
