// The S3 endpoint as one node:http handler: detect → authenticate → dispatch → check access → operation → errors.
// https://docs.aws.amazon.com/AmazonS3/latest/API/Welcome.html
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe } from '../../lib/errors.ts';
import { signedRequest } from '../sigv4/request.ts';
import { verify } from '../sigv4/verify.ts';
import { checkAccess } from './access.ts';
import { drain, errorAnswer, type RequestIds, writeAnswer } from './answer.ts';
import type { S3Answer, S3Deps } from './call.ts';
import { detectTarget } from './detect.ts';
import { dispatch } from './dispatch.ts';
import { toS3Error } from './error-table.ts';

const defaultIdleMs = 2 * 60_000;
const drainMs = 5_000;

export type S3Handler = (message: IncomingMessage, response: ServerResponse) => Promise<void>;

/** Never rejects: every outcome is an answer, or a connection that is cut because it cannot be answered any more. */
export function createS3Handler(deps: S3Deps): S3Handler {
  return async (message, response) => {
    const ids = { requestId: randomBytes(8).toString('hex').toUpperCase(), hostId: randomBytes(48).toString('base64') };
    response.setHeader('x-amz-request-id', ids.requestId);
    response.setHeader('x-amz-id-2', ids.hostId);
    message.setTimeout(deps.idleMs ?? defaultIdleMs, () => message.socket.destroy());
    try {
      await writeAnswer(response, await answer(deps, message));
    } catch (error) {
      await answerError(deps, message, response, error, ids);
    }
  };
}

async function answer(deps: S3Deps, message: IncomingMessage): Promise<S3Answer> {
  const request = signedRequest(message);
  const target = detectTarget(message.headers.host ?? '', request.rawPath, deps.hostSuffixes ?? []);
  const { account, accessKeyId, payload } = await verify(request, deps.keys, {
    clock: deps.clock,
    regions: [deps.region],
    services: ['s3'],
  });
  const query = new URLSearchParams(request.rawQuery);
  const operation = dispatch(request.method, target, query, message.headers);
  const call = { deps, message, query, target, account, accessKeyId, payload };
  await checkAccess(call, operation);
  return operation.run(call);
}

async function answerError(
  deps: S3Deps,
  message: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  ids: RequestIds,
): Promise<void> {
  const s3Error = toS3Error(error);
  const path = message.url?.split('?', 1)[0] ?? '/';
  if (response.destroyed) return;
  if (s3Error.status >= 500 && s3Error.code !== 'NotImplemented') {
    deps.log.error('s3.failed', { requestId: ids.requestId, method: message.method, path, why: describe(error) });
  }
  if (response.headersSent) {
    // A stream that broke midway must not look like a complete object.
    response.destroy();
    return;
  }
  try {
    await drain(message, response, deps.clock, drainMs);
    await writeAnswer(response, errorAnswer(s3Error, path, ids, message.method ?? 'GET'));
  } catch (failure) {
    deps.log.error('s3.failed', { requestId: ids.requestId, method: message.method, path, why: describe(failure) });
    response.destroy();
  }
}
