// How the body of a request is vouched for: by its hash, not at all, or chunk by chunk.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
import type { KeyObject } from 'node:crypto';
import type { Claim } from './claim.ts';
import { refuse } from './refusal.ts';
import { type Headers, type SignedRequest, single } from './request.ts';
import { equalSecrets, sha256Hex } from './signing-key.ts';

/** What each chunk signature is computed from. */
export interface ChunkSigning {
  key: KeyObject;
  amzDate: string;
  scope: string;
  /** The signature of the request, from which the chain of chunk signatures starts. */
  seedSignature: string;
}

export type Payload =
  | { kind: 'hash'; sha256: string }
  | { kind: 'unsigned' }
  | { kind: 'chunked'; hasTrailer: boolean; signing?: ChunkSigning };

const chunkedModes: Record<string, { hasTrailer: boolean; isSigned: boolean }> = {
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD': { hasTrailer: false, isSigned: true },
  'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER': { hasTrailer: true, isSigned: true },
  'STREAMING-UNSIGNED-PAYLOAD-TRAILER': { hasTrailer: true, isSigned: false },
};

const emptyHash = sha256Hex('');

/** The last line of the canonical request. With a body at hand, its real hash, which a header must then agree with. */
export function payloadHash(request: SignedRequest, headers: Headers, claim: Claim): string {
  const said = single(headers, 'x-amz-content-sha256');
  if (request.body) {
    const actual = request.body.length === 0 ? emptyHash : sha256Hex(request.body);
    if (said !== undefined && !equalSecrets(said, actual)) {
      throw refuse('payload', 'The x-amz-content-sha256 header does not match the body.');
    }
    return actual;
  }
  if (claim.expiresSeconds !== undefined) {
    const value = said ?? new URLSearchParams(request.rawQuery).get('X-Amz-Content-Sha256') ?? 'UNSIGNED-PAYLOAD';
    if (Object.hasOwn(chunkedModes, value)) throw refuse('query', 'A presigned request cannot have a chunked payload.');
    return value;
  }
  if (said === undefined) {
    throw refuse('mechanism', 'Missing required header for this request: x-amz-content-sha256');
  }
  return said;
}

/** Which kind of body follows. Refuses values nobody specified. */
export function describePayload(hash: string, signing: ChunkSigning): Payload {
  if (hash === 'UNSIGNED-PAYLOAD') return { kind: 'unsigned' };
  if (/^[0-9a-f]{64}$/.test(hash)) return { kind: 'hash', sha256: hash };
  const mode = Object.hasOwn(chunkedModes, hash) ? chunkedModes[hash] : undefined;
  if (!mode) {
    throw refuse(
      'mechanism',
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING-… value or a SHA-256 in hex.',
    );
  }
  return { kind: 'chunked', hasTrailer: mode.hasTrailer, ...(mode.isSigned ? { signing } : {}) };
}
