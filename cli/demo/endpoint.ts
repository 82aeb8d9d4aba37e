// HTTPS to a MicroVM, with the endpoint exactly as the API returned it.
import { type LookupAddress, type LookupOptions, lookup } from 'node:dns';
import { type RequestOptions, request } from 'node:https';
import { Fault } from '../../src/lib/errors.ts';

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

type LookupCallback = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** The system's resolver; for `*.localhost`, where it knows nothing of RFC 6761, the loopback address. */
function lookupWithLocalhost(hostname: string, options: LookupOptions, callback: LookupCallback): void {
  lookup(hostname, options, (error, address, family) => {
    if (error === null || !hostname.endsWith('.localhost')) return callback(error, address, family);
    const loopback = { address: '127.0.0.1', family: 4 };
    if (options.all) callback(null, [loopback]);
    else callback(null, loopback.address, loopback.family);
  });
}
