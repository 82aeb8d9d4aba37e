// Requests that are almost right: one for every operation of every API on the door, each changed in one or a few places before or after it is signed.
import fc from 'fast-check';
import { isFault } from '../../../src/lib/errors.ts';
import { type Credentials, presigned, type RawRequest, requestBytes, signHeaders } from '../signed-request.ts';
import { afterSigning, type Signing, signing } from './after-signing.ts';
import { beforeSigning, type Change, textOf } from './before-signing.ts';
import { type Names, plainRequests } from './plain-requests.ts';
import { type S3Names, type S3Request, s3Changes, s3Requests } from './s3-requests.ts';

/** Bytes to send, and whether they are whole enough that an answer must come. */
export interface Mutant {
  door: 'api' | 's3';
  what: string;
  bytes: Buffer;
  mustAnswer: boolean;
  /** The method has answers without body. */
  bodiless: boolean;
}

/** Mutants of requests for these resources, signed with these credentials, two of three in headers, the others in the query. */
export function mutants(names: Names, s3Names: S3Names, credentials: Credentials): fc.Arbitrary<Mutant> {
  const api = plainRequests(names).map((request): S3Request => ({ request }));
  const doors: fc.Arbitrary<[Mutant['door'], S3Request, Change[]]>[] = [
    fc.tuple(fc.constant('api'), fc.constantFrom(...api), fc.array(beforeSigning, { maxLength: 2 })),
    fc.tuple(
      fc.constant('s3'),
      fc.constantFrom(...s3Requests(s3Names)),
      fc.array(fc.oneof(beforeSigning, { weight: 2, arbitrary: s3Changes }), { maxLength: 2 }),
    ),
  ];
  const isPresigned = fc.oneof({ weight: 2, arbitrary: fc.constant(false) }, fc.constant(true));
  return fc
    .tuple(fc.oneof(...doors), signing, isPresigned, afterSigning)
    .map(([[door, { request, payload }, changes], how, inQuery, after]) => {
      const changed = changes.reduce(
        (it, { what, apply }) => (what === 'a member' && !isJson(it.body) ? it : apply(it)),
        request,
      );
      const options = door === 's3' ? { service: 's3', payload, ...how } : how;
      const signed = sign(changed, credentials, options, inQuery);
      const sent = after.apply([...(signed.headers ?? [])]);
      const where = inQuery ? 'presigned' : 'signed';
      const what = [door, where, request.method, request.path, ...changes.map((each) => each.what), after.what];
      const bytes = Buffer.from(after.raw(requestBytes(signed, sent)));
      return { door, what: what.join(' '), bytes, mustAnswer: after.mustAnswer, bodiless: changed.method === 'HEAD' };
    });
}

function sign(request: RawRequest, owner: Credentials, options: Signing, inQuery: boolean): RawRequest {
  const credentials = { ...owner, ...options.credentials };
  try {
    if (inQuery) return presigned(request, credentials, options);
    return { ...request, headers: signHeaders(request, credentials, options) };
  } catch (error) {
    // A path that cannot be decoded cannot be signed for S3: it goes with the signature of another.
    if (!isFault(error, 'access_denied') || request.path === '/') throw error;
    return { ...sign({ ...request, path: '/' }, owner, options, inQuery), path: request.path };
  }
}

function isJson(body: RawRequest['body']): boolean {
  try {
    const value: unknown = JSON.parse(textOf(body) || '{}');
    return typeof value === 'object' && value !== null;
  } catch {
    return false;
  }
}
