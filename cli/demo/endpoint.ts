// HTTPS to a MicroVM, with the endpoint exactly as the API returned it.
import { type RequestOptions, request } from 'node:https';
import { Fault } from '../../src/lib/errors.ts';
import { lookupWithLocalhost } from '../localhost.ts';

export interface EndpointAnswer {
  status: number;
  body: string;
}

export interface EndpointCall {
  endpoint: string;
  token: string;
  ca: string | undefined;
  method: string;
  path: string;
  body?: string;
  signal: AbortSignal;
}

const answerTimeoutMs = 60_000;
const maxAnswerBytes = 4 << 20;

/** Rejects with the network's error, `too_large`, or when the deadline or the signal comes first. */
export function callEndpoint(call: EndpointCall): Promise<EndpointAnswer> {
  const { endpoint, token, ca, method, path, body, signal } = call;
  const options: RequestOptions = {
    method,
    headers: {
      'x-aws-proxy-auth': token,
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    },
    lookup: lookupWithLocalhost,
    // A connection of its own each time: what is measured includes everything a fresh client does.
    agent: false,
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerTimeoutMs)]),
    ...(ca === undefined ? {} : { ca }),
  };
  return new Promise((resolve, reject) => {
    const sent = request(`https://${endpoint}${path}`, options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > maxAnswerBytes)
          response.destroy(new Fault('too_large', { what: 'The answer', limit: maxAnswerBytes }));
      });
      response.on('error', reject);
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      );
    });
    sent.on('error', reject);
    sent.end(body);
  });
}
