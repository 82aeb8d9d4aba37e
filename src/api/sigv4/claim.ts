// What a request says about its own signature: the Authorization header, or the X-Amz-* query of a presigned URL.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
import { formatAmzDate } from './amz-date.ts';
import { type Refusal, refuse } from './refusal.ts';
import { type Headers, type SignedRequest, single } from './request.ts';

export interface Claim {
  accessKeyId: string;
  /** `yyyymmdd` of the credential scope. */
  date: string;
  region: string;
  service: string;
  signedHeaders: readonly string[];
  signature: string;
  /** `yyyymmddThhmmssZ`. */
  amzDate: string;
  sessionToken?: string;
  /** Only for presigned URLs. */
  expiresSeconds?: number;
}

const algorithm = 'AWS4-HMAC-SHA256';

/** Reads the claim; refuses a request without one, with a broken one, or with two. */
export function readClaim(request: SignedRequest, headers: Headers): Claim {
  const authorization = single(headers, 'authorization');
  const query = request.rawQuery === '' ? undefined : new URLSearchParams(request.rawQuery);
  const isPresigned = query?.has('X-Amz-Algorithm') || query?.has('X-Amz-Signature');
  if (authorization !== undefined && isPresigned) {
    throw refuse('mechanism', 'Only one authentication mechanism is allowed: a header or query parameters, not both.');
  }
  if (authorization !== undefined) return fromHeader(authorization, headers);
  if (query && isPresigned) return fromQuery(query);
  throw refuse('missing', 'Missing Authentication Token');
}

/** The service a request was signed for, so that one port can serve several APIs. Says nothing about validity. */
export function signedService(request: SignedRequest): string | undefined {
  const { rawHeaders, rawQuery } = request;
  const at = rawHeaders.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === 'authorization');
  if (at >= 0) return /Credential=[^,]*\/([a-z0-9-]+)\/aws4_request/.exec(rawHeaders[at + 1] ?? '')?.[1];
  if (!rawQuery.includes('X-Amz-')) return undefined;
  const credential = new URLSearchParams(rawQuery).get('X-Amz-Credential') ?? '';
  return /\/([a-z0-9-]+)\/aws4_request$/.exec(credential)?.[1];
}

function fromHeader(authorization: string, headers: Headers): Claim {
  const [scheme, ...rest] = authorization.split(' ');
  if (scheme !== algorithm) {
    throw refuse('mechanism', `The authorization mechanism is not supported. Please use ${algorithm}.`);
  }
  const fields = authorizationFields(rest.join(' '));
  const sessionToken = single(headers, 'x-amz-security-token');
  return {
    ...scope(fields.get('Credential') ?? '', 'incomplete'),
    signedHeaders: names(fields.get('SignedHeaders') ?? '', 'incomplete'),
    signature: fields.get('Signature') ?? '',
    amzDate: headerDate(headers),
    ...(sessionToken === undefined ? {} : { sessionToken }),
  };
}

/** The fields after the algorithm; those that are needed are there and not empty. */
function authorizationFields(text: string): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const part of text.split(',')) {
    const mark = part.indexOf('=');
    const name = part.slice(0, mark).trim();
    if (mark < 0)
      throw refuse(
        'incomplete',
        `'${part.trim()}' not a valid key=value pair (missing equal-sign) in Authorization header.`,
      );
    if (fields.has(name))
      throw refuse('incomplete', `Authorization header has the parameter '${name}' more than once.`);
    fields.set(name, part.slice(mark + 1).trim());
  }
  const missing = ['Credential', 'Signature', 'SignedHeaders'].filter((name) => !fields.get(name));
  if (missing.length === 0) return fields;
  throw refuse('incomplete', missing.map((name) => `Authorization header requires '${name}' parameter.`).join(' '));
}

function fromQuery(query: URLSearchParams): Claim {
  const need = (name: string): string => {
    const values = query.getAll(name);
    if (values.length !== 1 || !values[0]) throw refuse('query', `The query parameter ${name} is needed exactly once.`);
    return values[0];
  };
  if (need('X-Amz-Algorithm') !== algorithm) throw refuse('query', `X-Amz-Algorithm only supports ${algorithm}.`);
  const expires = need('X-Amz-Expires');
  if (!/^[0-9]{1,6}$/.test(expires) || Number(expires) > 604_800 || Number(expires) < 1) {
    throw refuse('query', 'X-Amz-Expires is a number of seconds between 1 and 604800.');
  }
  return {
    ...scope(need('X-Amz-Credential'), 'query'),
    signedHeaders: names(need('X-Amz-SignedHeaders'), 'query'),
    signature: need('X-Amz-Signature'),
    amzDate: need('X-Amz-Date'),
    expiresSeconds: Number(expires),
    ...(query.has('X-Amz-Security-Token') ? { sessionToken: need('X-Amz-Security-Token') } : {}),
  };
}

function scope(credential: string, refusal: Refusal): Pick<Claim, 'accessKeyId' | 'date' | 'region' | 'service'> {
  const match = /^([\w+=.@/-]{1,128})\/([0-9]{8})\/([a-z0-9-]{1,64})\/([a-z0-9-]{1,64})\/aws4_request$/.exec(
    credential,
  );
  if (!match) {
    const what =
      'Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/aws4_request.';
    throw refuse(refusal, what);
  }
  const [, accessKeyId = '', date = '', region = '', service = ''] = match;
  return { accessKeyId, date, region, service };
}

function names(list: string, refusal: Refusal): readonly string[] {
  const signed = list.split(';');
  const isSorted = signed.every((name, i) => i === 0 || (signed[i - 1] ?? '') < name);
  if (!isSorted || signed.some((name) => !/^[!#$%&'*+.^_`|~0-9a-z-]+$/.test(name))) {
    throw refuse(refusal, 'SignedHeaders is a sorted list of lower-case header names, separated by semicolons.');
  }
  if (!signed.includes('host')) throw refuse(refusal, "'Host' must be a 'SignedHeader' in the AWS Authorization.");
  return signed;
}

function headerDate(headers: Headers): string {
  const amzDate = single(headers, 'x-amz-date');
  if (amzDate !== undefined) return amzDate;
  const date = Date.parse(single(headers, 'date') ?? '');
  if (Number.isNaN(date)) {
    const what = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.";
    throw refuse('incomplete', what);
  }
  return formatAmzDate(date);
}
