// The JSON APIs on one Fastify instance: bodies read raw (signatures cover them), every answer with a request id, no answer but JSON.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import type { App } from '../app/create-app.ts';
import { isFault } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { printableLine } from '../lib/printable.ts';
import { type Answer, errorAnswer, namedError, rawAnswer } from './answer.ts';
import type { Authenticate, ReceivedRequest } from './authenticate.ts';
import { handleExtension } from './extension/handle.ts';
import { coreErrorAnswer } from './lambda-core/errors.ts';
import { handleCoreOperation } from './lambda-core/handle.ts';
import { handleOperation } from './lambda-microvms/handle.ts';
import { tagErrorAnswer } from './lambda-microvms/tag-errors.ts';
import { signedRequest } from './sigv4/request.ts';

const maxBodyBytes = 1 << 20;

export interface JsonApiDependencies {
  app: Pick<App, 'operations' | 'coreOperations' | 'inputLimits' | 'throttle' | 'extension'>;
  authenticate: Authenticate;
  log: Log;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export function createJsonApi(deps: JsonApiDependencies, serverFactory: (handler: Handler) => Server): FastifyInstance {
  const api = Fastify({
    serverFactory,
    bodyLimit: maxBodyBytes,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    // On the way down a request on a kept connection is answered like any other, not with Fastify's own 503.
    return503OnClosing: false,
    genReqId: () => randomUUID(),
    frameworkErrors: (error, request, reply) => sendError(deps.log, request, reply, error),
    clientErrorHandler: refuseConnection,
  });
  api.removeAllContentTypeParsers();
  api.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
  api.setErrorHandler((error, request, reply) => sendError(deps.log, request, reply, error));
  const handle = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
    const startedAt = performance.now();
    const received = receive(request);
    try {
      const answer =
        handleOperation(deps.app, deps.authenticate, received) ??
        handleCoreOperation(deps.app, deps.authenticate, received) ??
        handleExtension(deps.app, deps.authenticate, received) ??
        namedError('UnknownOperationException', `There is no operation ${received.method} ${received.rawPath}.`);
      send(deps.log, request, reply, await answer, startedAt);
    } catch (error) {
      sendError(deps.log, request, reply, error, startedAt);
    }
  };
  api.all('*', handle);
  api.setNotFoundHandler(handle);
  return api;
}

function receive(request: FastifyRequest): ReceivedRequest {
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
  return { ...signedRequest(request.raw), body };
}

/** Written past Fastify, which would add a charset that AWS's answers do not have; a connection that it wants closed is. */
function send(
  log: Log,
  request: FastifyRequest,
  reply: FastifyReply,
  { status, headers, body }: Answer,
  startedAt?: number,
): void {
  const { id: requestId, method } = request;
  const took = startedAt === undefined ? {} : { ms: Math.round(performance.now() - startedAt) };
  log.info('api.answered', { requestId, method, path: pathOf(request), status, ...took });
  const { raw } = reply;
  const connection = reply.getHeader('connection');
  reply.hijack();
  raw.statusCode = status;
  if (connection !== undefined) raw.setHeader('connection', connection);
  raw.setHeader('x-amzn-requestid', requestId);
  if (status !== 204) {
    for (const name in headers) raw.setHeader(name, headers[name] ?? '');
    raw.setHeader('content-length', Buffer.byteLength(body));
  }
  // What was asked for in one turn of the loop is answered together: to wake a client costs more than to write to it.
  setImmediate(() => raw.end(status === 204 ? undefined : body));
}

/** APIs with error names of their own, by the version that their paths begin with. */
const ownErrors: Readonly<Record<string, typeof tagErrorAnswer>> = {
  '2017-03-31': tagErrorAnswer,
  '2026-04-04': coreErrorAnswer,
};

function sendError(log: Log, request: FastifyRequest, reply: FastifyReply, error: unknown, startedAt?: number): void {
  const [, version = ''] = request.url.split('/', 2);
  const answer = requestError(error) ?? ownErrors[version]?.(error, request.id) ?? errorAnswer(error, request.id);
  const facts = { requestId: request.id, path: pathOf(request), error: String(error) };
  // AWS gives a full host a 500, but nothing has failed, and whoever asks again and again must not fill the log.
  if (isFault(error, 'capacity_exhausted')) log.info('api.no_room', facts);
  else if (answer.status >= 500) log.error('api.failed', facts);
  send(log, request, reply, answer, startedAt);
}

/** Without its query: presigned requests have their signature there. */
const pathOf = ({ url }: FastifyRequest): string => printableLine(url.split('?', 1)[0] ?? '', 2_048);

/** Fastify's own errors about the request itself: too large, cut short, an URL or type that cannot be read. */
function requestError(error: unknown): Answer | undefined {
  const status = typeof error === 'object' && error !== null && 'statusCode' in error ? Number(error.statusCode) : 500;
  if (status === 413) {
    const message = `The body of a request may have at most ${maxBodyBytes} bytes.`;
    return namedError('RequestEntityTooLargeException', message);
  }
  if (status < 400 || status >= 500) return undefined;
  return namedError('SerializationException', 'The request could not be read.');
}

const headerBytes = 16 * 1024;
const refusals: Readonly<Record<string, Answer>> = {
  HPE_HEADER_OVERFLOW: namedError(
    'SerializationException',
    `Address and headers may have at most ${headerBytes} bytes.`,
  ),
  ERR_HTTP_REQUEST_TIMEOUT: namedError('RequestTimeoutException', 'The request did not come in time.'),
};
const notHttp = namedError('SerializationException', 'The request is not valid HTTP.');

/** Time to read the answer before the connection is cut, whatever the client does. */
const lingerMs = 1000;

/** What is not HTTP at all still gets an answer that an SDK can read. */
export function refuseConnection(error: { code?: string }, socket: Duplex): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  socket.end(rawAnswer(refusals[error.code ?? ''] ?? notHttp, randomUUID()));
  setTimeout(() => socket.destroy(), lingerMs).unref();
}
