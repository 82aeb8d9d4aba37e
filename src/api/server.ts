// The control plane's server: requests signed for S3 go to the S3 handler, all others to the JSON APIs behind Fastify.
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { createServer } from '../lib/node-http.ts';
import { createJsonApi, type JsonApiDependencies, refuseConnection } from './json-api.ts';
import { signedService } from './sigv4/claim.ts';
import { signedRequest } from './sigv4/request.ts';

export interface ControlPlaneDependencies extends JsonApiDependencies {
  s3(request: IncomingMessage, response: ServerResponse): Promise<void>;
  /** Plain HTTP without it. */
  tls?: { key: string; cert: string };
  /** From the first header to the end of the answer, for all but S3; default 60 s. */
  requestMs?: number;
}

export interface ControlPlane {
  /** Resolves with the port that is listened on; 0 asks for any. */
  listen(host: string, port: number): Promise<number>;
  /** Refuses new connections, lets answers under way finish, cuts what is still open after `graceMs`. */
  close(graceMs?: number): Promise<void>;
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/** An upload of many gigabytes may take long; the S3 handler watches for silence itself. */
const requestTimeoutMs = 6 * 3_600_000;
const defaultRequestMs = 60_000;

/** A client that sends its few bytes too slowly does not hold a connection for hours. */
function cutWhenLate(response: ServerResponse, ms: number): void {
  const timer = setTimeout(() => {
    if (response.headersSent || !response.socket) response.destroy();
    else refuseConnection({ code: 'ERR_HTTP_REQUEST_TIMEOUT' }, response.socket);
  }, ms);
  response.once('close', () => clearTimeout(timer));
}

/** Cases in which node:http would answer by itself, without a word that an SDK can read. */
function answerEverything(server: Server, listener: Listener): void {
  server.on('checkExpectation', listener);
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    // From here on nobody else listens, and a client that goes away must not end the process.
    socket.on('error', () => socket.destroy());
    refuseConnection({}, socket);
  });
}

export function createControlPlane(deps: ControlPlaneDependencies): ControlPlane {
  let server: Server | undefined;
  const api = createJsonApi(deps, (handler) => {
    const listener: Listener = (request, response) => {
      if (signedService(signedRequest(request)) !== 's3') {
        cutWhenLate(response, deps.requestMs ?? defaultRequestMs);
        handler(request, response);
        return;
      }
      deps.s3(request, response).catch((error: unknown) => {
        deps.log.error('s3.unhandled', { error: String(error) });
        response.destroy();
      });
    };
    // A request without Host cannot be signed: it is refused where signatures are read.
    const options = { requestTimeout: requestTimeoutMs, requireHostHeader: false };
    server = deps.tls ? createTlsServer({ ...deps.tls, ...options }, listener) : createServer(options, listener);
    answerEverything(server, listener);
    return server;
  });
  return {
    async listen(host, port) {
      await api.listen({ host, port });
      return (api.server.address() as AddressInfo).port;
    },
    async close(graceMs = 2000) {
      const cut = setTimeout(() => server?.closeAllConnections(), graceMs);
      await api.close();
      clearTimeout(cut);
    },
  };
}
