// Why a signature is not accepted. One table gives AWS's error name for JSON services and for S3; each API room words it its way.
import { Fault } from '../../lib/errors.ts';

const names = {
  missing: { awsError: 'MissingAuthenticationTokenException', s3Error: 'AccessDenied' },
  incomplete: { awsError: 'IncompleteSignatureException', s3Error: 'AuthorizationHeaderMalformed' },
  query: { awsError: 'IncompleteSignatureException', s3Error: 'AuthorizationQueryParametersError' },
  mechanism: { awsError: 'IncompleteSignatureException', s3Error: 'InvalidRequest' },
  scope: { awsError: 'InvalidSignatureException', s3Error: 'AuthorizationHeaderMalformed' },
  signature: { awsError: 'InvalidSignatureException', s3Error: 'SignatureDoesNotMatch' },
  key: { awsError: 'UnrecognizedClientException', s3Error: 'InvalidAccessKeyId' },
  token: { awsError: 'UnrecognizedClientException', s3Error: 'InvalidToken' },
  skew: { awsError: 'InvalidSignatureException', s3Error: 'RequestTimeTooSkewed' },
  expired: { awsError: 'InvalidSignatureException', s3Error: 'AccessDenied' },
  unsigned_header: { awsError: 'InvalidSignatureException', s3Error: 'AccessDenied' },
  payload: { awsError: 'InvalidSignatureException', s3Error: 'XAmzContentSHA256Mismatch' },
} as const;

export type Refusal = keyof typeof names;

/** What S3 says where the JSON services have other words. */
const s3Words: Partial<Record<Refusal, string>> = {
  missing: 'Access Denied',
  key: 'The AWS Access Key Id you provided does not exist in our records.',
  token: 'The provided token is malformed or otherwise invalid.',
  skew: 'The difference between the request time and the current time is too large.',
};

/** A fault `access_denied` with the facts `refusal`, `awsError` (JSON services), `s3Error` and, where they differ, `s3What`. */
export function refuse(refusal: Refusal, what: string): Fault {
  return new Fault('access_denied', { what, refusal, ...names[refusal], s3What: s3Words[refusal] });
}
