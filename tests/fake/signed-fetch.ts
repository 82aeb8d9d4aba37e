// Requests signed by hand for the service `lambda`, for what no JavaScript client exists for.
import { createHash, createHmac } from 'node:crypto';
import type { Credentials } from '../support/signed-request.ts';
import { credentials as known } from './control-plane-rig.ts';

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const encode = (text: string): string => text.split('/').map(encodeURIComponent).join('/');

export interface SignedRequest {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** Sent as JSON. */
  body?: unknown;
  query?: Record<string, string>;
}

/** `path` as it goes over the wire, its segments encoded already. */
export function signedFetch(
  { url, credentials = known }: { url: string; credentials?: Credentials },
  path: string,
  request: SignedRequest = {},
): Promise<Response> {
  const { method = 'GET', query = {} } = request;
  const body = request.body === undefined ? '' : JSON.stringify(request.body);
  const search = Object.keys(query)
    .sort()
    .map((name) => `${encodeURIComponent(name)}=${encodeURIComponent(query[name] ?? '')}`)
    .join('&');
  const date = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${date.slice(0, 8)}/us-east-1/lambda/aws4_request`;
  const names = 'host;x-amz-date';
  const headers = `host:${new URL(url).host}\nx-amz-date:${date}\n`;
  const canonical = `${method}\n${encode(path)}\n${search}\n${headers}\n${names}\n${hash(body)}`;
  const key = scope
    .split('/')
    .reduce<string | Buffer>((secret, part) => hmac(secret, part), `AWS4${credentials.secretAccessKey}`);
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash(canonical)}`).toString('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  return fetch(`${url}${path}${search && `?${search}`}`, {
    method,
    headers: { 'x-amz-date': date, authorization, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body }),
  });
}
