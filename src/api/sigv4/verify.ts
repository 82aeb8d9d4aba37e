// Decides whether a request was signed with the secret of the key it names, now, for us (AWS Signature Version 4).
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
import type { Clock } from '../../lib/clock.ts';
import { canonicalRequest } from './canonical.ts';
import { type Claim, readClaim } from './claim.ts';
import { checkFreshness, defaultSkewMs } from './freshness.ts';
import { describePayload, type Payload, payloadHash } from './payload.ts';
import { refuse } from './refusal.ts';
import { collectHeaders, type Headers, type SignedRequest } from './request.ts';
import { credentialScope, equalSecrets, sha256Hex, sign, signingKey } from './signing-key.ts';

export interface AccessKey {
  secret: string;
  account: string;
  /** Set for temporary keys: requests must carry it. For all others a request with a token is refused. */
  sessionToken?: string;
}

export type KeyLookup = (accessKeyId: string) => AccessKey | undefined | Promise<AccessKey | undefined>;

export interface VerifyOptions {
  clock: Clock;
  /** Regions a request may be scoped to. */
  regions: readonly string[];
  /** Services a request may be scoped to, e.g. `lambda` or `s3`. */
  services: readonly string[];
  /** Default 15 minutes. */
  maxSkewMs?: number;
}

export interface Verified {
  accessKeyId: string;
  account: string;
  service: string;
  region: string;
  /** For `hash` without a given body, and for `chunked`, the caller still has to check the bytes as they come. */
  payload: Payload;
}

/** AWS's words for an unknown key, too. */
const unknownToken = 'The security token included in the request is invalid.';

/** Rejects with `access_denied`; the facts `refusal`, `awsError` and `s3Error` say why (refusal.ts). */
export async function verify(request: SignedRequest, keys: KeyLookup, options: VerifyOptions): Promise<Verified> {
  const headers = collectHeaders(request.rawHeaders);
  const claim = readClaim(request, headers);
  checkScope(claim, request, options);
  checkFreshness(claim, options.clock.now(), options.maxSkewMs ?? defaultSkewMs);
  if (claim.service === 's3') checkAmzHeadersSigned(claim, headers);

  const key = await keys(claim.accessKeyId);
  if (!key) throw refuse('key', unknownToken);
  const hash = payloadHash(request, headers, claim);
  const { service, signedHeaders, amzDate } = claim;
  const canonical = canonicalRequest({ request, headers, service, signedHeaders, payloadHash: hash });
  const scope = credentialScope(claim);
  const derived = signingKey(key.secret, claim);
  const expected = sign(derived, 'AWS4-HMAC-SHA256', amzDate, scope, sha256Hex(canonical));
  if (!equalSecrets(expected, claim.signature)) {
    throw refuse(
      'signature',
      'The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.',
    );
  }
  checkToken(key, claim);
  const payload = describePayload(hash, { key: derived, amzDate, scope, seedSignature: expected });
  return { accessKeyId: claim.accessKeyId, account: key.account, service, region: claim.region, payload };
}

function checkScope(claim: Claim, request: SignedRequest, options: VerifyOptions): void {
  if (!options.services.includes(claim.service)) {
    throw refuse('scope', `Credential should be scoped to correct service: '${options.services.join("' or '")}'.`);
  }
  if (!options.regions.includes(claim.region)) {
    const known = `'${options.regions.join("' or '")}'`;
    throw refuse('scope', `Credential should be scoped to a valid region, not '${claim.region}'. Here it is ${known}.`);
  }
  if (claim.service === 's3') return;
  // Without the body its hash is only the client's word, and only S3 checks bodies while they stream.
  if (!request.body) throw refuse('payload', 'The body is needed to verify this request.');
}

function checkAmzHeadersSigned(claim: Claim, headers: Headers): void {
  for (const name of headers.keys()) {
    // A presigned URL's holder may add the payload's checksums, but nothing that changes what is done.
    const mayBeUnsigned = claim.expiresSeconds !== undefined && /^x-amz-(?:checksum-|content-sha256$)/.test(name);
    if (name.startsWith('x-amz-') && !claim.signedHeaders.includes(name) && !mayBeUnsigned) {
      throw refuse('unsigned_header', `There were headers present in the request which were not signed: ${name}`);
    }
  }
}

function checkToken(key: AccessKey, claim: Claim): void {
  if (key.sessionToken === undefined && claim.sessionToken === undefined) return;
  if (!equalSecrets(key.sessionToken ?? '', claim.sessionToken ?? '')) throw refuse('token', unknownToken);
}
