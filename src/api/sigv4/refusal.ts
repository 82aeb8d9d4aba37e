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

/** A fault `access_denied` with the facts `refusal`, `awsError` (JSON services) and `s3Error`. */
export function refuse(refusal: Refusal, what: string): Fault {
  return new Fault('access_denied', { what, refusal, ...names[refusal] });
}
