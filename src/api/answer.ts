// An HTTP answer of the control plane before it is sent, and errors in AWS's form.

import { errors } from '../contract/generated/operations.ts';
import type { ErrorShape } from '../contract/model.ts';
import { Fault, type FaultCode, isFault } from '../lib/errors.ts';
import { STATUS_CODES } from '../lib/node-http.ts';

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string;
}

type Modelled = keyof typeof errors;

/** Fault code → error of the AWS model. Codes that are missing here are internal: their message stays inside. */
const modelled: Partial<Record<FaultCode, Modelled>> = {
  access_denied: 'AccessDeniedException',
  conflict: 'ConflictException',
  invalid_input: 'ValidationException',
  too_large: 'ValidationException',
  not_found: 'ResourceNotFoundException',
  quota_exceeded: 'ServiceQuotaExceededException',
  throttled: 'ThrottlingException',
  capacity_exhausted: 'InsufficientCapacityException',
  disk_full: 'InsufficientCapacityException',
};

/** Names outside the model, which any AWS service may answer. */
const unmodelled: Readonly<Record<string, number>> = {
  SerializationException: 400,
  IncompleteSignatureException: 400,
  InvalidSignatureException: 403,
  MissingAuthenticationTokenException: 403,
  UnrecognizedClientException: 403,
  UnknownOperationException: 404,
  RequestTimeoutException: 408,
  RequestEntityTooLargeException: 413,
};

/** What was sent could not be read as what it should be. */
export class SerializationError extends Error {}

/** Members of errors that are not facts in the body. */
const apart = new Set(['message', 'retryAfterSeconds']);

const json = (status: number, body: unknown, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

export const jsonAnswer = (status: number, body: unknown): Answer => json(status, body);

/** An error by its name, for what never becomes a Fault. */
export const namedError = (name: keyof typeof unmodelled, message: string): Answer =>
  json(unmodelled[name] ?? 400, { message }, { 'x-amzn-errortype': name });

/** An error by its name, with a body of its own form; when to come back, where the error knows it, is a header. */
export function typedError(name: string, status: number, body: unknown, error?: Fault): Answer {
  const retryAfterSeconds = error?.facts.retryAfterSeconds;
  const later = retryAfterSeconds === undefined ? {} : { 'retry-after': String(retryAfterSeconds) };
  return json(status, body, { 'x-amzn-errortype': name, ...later });
}

/** An answer as bytes of HTTP/1.1, for a connection on which no request could be read; it ends the connection. */
export function rawAnswer({ status, headers, body }: Answer, requestId: string): string {
  const all = {
    ...headers,
    'x-amzn-requestid': requestId,
    'content-length': Buffer.byteLength(body),
    connection: 'close',
  };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n${lines.join('')}\r\n${body}`;
}

/** All that a client is told of a mistake of ours. */
export const failureText = (requestId: string): string =>
  `The request failed inside the server. Its log says more about request ${requestId}.`;

/** What was thrown, in AWS's form. A 500 names the request and nothing else. */
export function errorAnswer(error: unknown, requestId: string): Answer {
  if (error instanceof SerializationError) return namedError('SerializationException', error.message);
  const name = isFault(error) ? modelled[error.code] : undefined;
  if (!(error instanceof Fault) || name === undefined) {
    return json(500, { message: failureText(requestId) }, { 'x-amzn-errortype': 'InternalServerException' });
  }
  const { awsError } = error.facts;
  if (typeof awsError === 'string') return namedError(awsError, error.message);
  const shape: ErrorShape = errors[name];
  const facts = Object.entries(error.facts).filter(([fact]) => !apart.has(fact) && shape.members.includes(fact));
  return typedError(name, shape.status, { message: error.message, ...Object.fromEntries(facts) }, error);
}
