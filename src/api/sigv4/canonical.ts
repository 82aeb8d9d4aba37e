// The canonical request: one text that signer and verifier build alike.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request
import { refuse } from './refusal.ts';
import type { Headers, SignedRequest } from './request.ts';
import { decodeUri, encodeUri } from './uri.ts';

/** S3 encodes each path segment once and keeps the path as it is; all other services normalize it and encode it twice. */
export function canonicalPath(rawPath: string, service: string): string {
  const sent = rawPath.split('/');
  // Segment by segment, so that an encoded slash stays encoded, as clients sign it.
  if (service === 's3') return sent.map((segment) => encodeUri(decodeUri(segment))).join('/') || '/';
  const segments: string[] = [];
  for (const segment of sent) {
    if (segment === '..') segments.pop();
    else if (segment !== '' && segment !== '.') segments.push(segment);
  }
  const trailing = segments.length > 0 && rawPath.endsWith('/') ? '/' : '';
  return encodeUri(`/${segments.join('/')}${trailing}`, true);
}

/** Pairs sorted by encoded name, then value; `without` is left out (the signature of a presigned request). */
export function canonicalQuery(rawQuery: string, without?: string): string {
  if (rawQuery === '') return '';
  const pairs = rawQuery
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair): [string, string] => {
      const mark = pair.indexOf('=');
      const name = mark < 0 ? pair : pair.slice(0, mark);
      return [recode(name), mark < 0 ? '' : recode(pair.slice(mark + 1))];
    })
    .filter(([name]) => name !== without);
  pairs.sort(([a, x], [b, y]) => compare(a, b) || compare(x, y));
  return pairs.map(([name, value]) => `${name}=${value}`).join('&');
}

const recode = (text: string): string => encodeUri(decodeUri(text.replaceAll('+', ' ')));
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const collapsed = (value: string): string => {
  const trimmed = value.trim();
  return trimmed.includes('  ') ? trimmed.replace(/ +/g, ' ') : trimmed;
};

/** `name:value` lines of the signed headers; repeated headers are joined, runs of blanks collapsed. */
export function canonicalHeaders(headers: Headers, signed: readonly string[]): string {
  return signed
    .map((name) => {
      const values = headers.get(name);
      if (!values) throw refuse('signature', `The signed header ${name} is not in the request.`);
      return `${name}:${values.map(collapsed).join(',')}\n`;
    })
    .join('');
}

export interface CanonicalInput {
  request: SignedRequest;
  headers: Headers;
  service: string;
  signedHeaders: readonly string[];
  payloadHash: string;
}

export function canonicalRequest(input: CanonicalInput): string {
  const { request, signedHeaders } = input;
  return [
    request.method,
    canonicalPath(request.rawPath, input.service),
    canonicalQuery(request.rawQuery, 'X-Amz-Signature'),
    canonicalHeaders(input.headers, signedHeaders),
    signedHeaders.join(';'),
    input.payloadHash,
  ].join('\n');
}
