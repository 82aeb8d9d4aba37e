// The control plane's server: requests signed for S3 go to the S3 handler, all others to the JSON APIs behind Fastify.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createJsonApi, type JsonApiDependencies } from './json-api.ts';
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

/** An upload of many gigabytes may take long; the S3 handler watches for silence itself. */
const requestTimeoutMs = 6 * 3_600_000;
const defaultRequestMs = 60_000;

/** A client that sends its few bytes too slowly does not hold a connection for hours. */
function cutWhenLate(response: ServerResponse, ms: number): void {
  const timer = setTimeout(() => response.destroy(), ms);
  response.once('close', () => clearTimeout(timer));
}

export function createControlPlane(deps: ControlPlaneDependencies): ControlPlane {
  let server: Server | undefined;
  const api = createJsonApi(deps, (handler) => {
    const listener = (request: IncomingMessage, response: ServerResponse): void => {
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
    server = deps.tls ? createTlsServer(deps.tls, listener) : createServer(listener);
    server.requestTimeout = requestTimeoutMs;
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
