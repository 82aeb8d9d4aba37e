// Writes what an operation gave, or S3's error document, with the request ids every S3 answer carries.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#RESTErrorResponses
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Clock } from '../../lib/clock.ts';
import type { S3Answer } from './call.ts';
import type { S3Error } from './error-table.ts';
import { xmlDocument } from './xml-write.ts';

const drainBytes = 64 * 1024 * 1024;

export interface RequestIds {
  requestId: string;
  hostId: string;
}

export async function writeAnswer(response: ServerResponse, answer: S3Answer): Promise<void> {
  const { status, headers = {}, xml, body } = answer;
  try {
    response.writeHead(status, {
      ...headers,
      ...(xml === undefined ? {} : { 'content-type': 'application/xml', 'content-length': Buffer.byteLength(xml) }),
    });
    if (body) await pipeline(body, response);
    else response.end(xml);
  } finally {
    // Into an answer whose client has gone nothing is piped, and what was not piped is not closed.
    body?.destroy();
  }
}

export function errorAnswer(error: S3Error, resource: string, ids: RequestIds, method: string): S3Answer {
  if (method === 'HEAD') return { status: error.status };
  const xml = xmlDocument(
    'Error',
    [
      ['Code', error.code],
      ['Message', error.message],
      ['Resource', resource],
      ['RequestId', ids.requestId],
      ['HostId', ids.hostId],
    ],
    '',
  );
  return { status: error.status, xml };
}

/** Reads on, within limits, what the client is still sending: closing at once would reset it before it reads our answer. */
export async function drain(
  message: IncomingMessage,
  response: ServerResponse,
  clock: Clock,
  maxMs: number,
): Promise<void> {
  if (message.complete || message.destroyed) return;
  message.unpipe();
  await new Promise<void>((resolve) => {
    let bytes = 0;
    const timer = clock.after(maxMs, resolve);
    const settle = (): void => {
      timer.cancel();
      resolve();
    };
    message.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > drainBytes) settle();
    });
    message.once('end', settle).once('close', settle);
    message.resume();
  });
  if (!message.complete) response.setHeader('connection', 'close');
}
