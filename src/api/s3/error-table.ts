// S3's error codes with their HTTP status, and which of them our faults become.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
import { Fault, isFault } from '../../lib/errors.ts';

const statuses = {
  AccessDenied: 403,
  AuthorizationHeaderMalformed: 400,
  AuthorizationQueryParametersError: 400,
  BadDigest: 400,
  BucketAlreadyExists: 409,
  BucketAlreadyOwnedByYou: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  IllegalLocationConstraintException: 400,
  IncompleteBody: 400,
  // AWS has no word for it, since its disks have no end. 507 is not tried again by SDKs, which would not help.
  InsufficientStorage: 507,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidDigest: 400,
  InvalidPart: 400,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidToken: 400,
  InvalidURI: 400,
  KeyTooLongError: 400,
  MalformedTrailerError: 400,
  MalformedXML: 400,
  MetadataTooLarge: 400,
  MethodNotAllowed: 405,
  NoSuchBucket: 404,
  NoSuchKey: 404,
  NoSuchUpload: 404,
  NotImplemented: 501,
  OperationAborted: 409,
  PreconditionFailed: 412,
  RequestTimeTooSkewed: 403,
  SignatureDoesNotMatch: 403,
  XAmzContentSHA256Mismatch: 400,
} as const;

export type S3ErrorCode = keyof typeof statuses;

export interface S3Error {
  code: S3ErrorCode;
  status: number;
  message: string;
}

/** A fault that names its S3 error. */
export function s3Fault(s3Error: S3ErrorCode, what: string): Fault {
  return new Fault('invalid_input', { what, s3Error });
}

const byKind: Record<string, S3ErrorCode> = {
  'not_found bucket': 'NoSuchBucket',
  'not_found object': 'NoSuchKey',
  'not_found upload': 'NoSuchUpload',
  'conflict bucket': 'BucketAlreadyExists',
  'invalid_input bucket': 'InvalidBucketName',
  'invalid_input object': 'KeyTooLongError',
  'invalid_input range': 'InvalidRange',
  'invalid_input part': 'InvalidPart',
  'invalid_input part_order': 'InvalidPartOrder',
  'invalid_input part_too_small': 'EntityTooSmall',
  'invalid_input empty_parts': 'MalformedXML',
};

const byCode: Partial<Record<Fault['code'], S3ErrorCode>> = {
  access_denied: 'AccessDenied',
  conflict: 'OperationAborted',
  disk_full: 'InsufficientStorage',
  invalid_input: 'InvalidArgument',
  too_large: 'EntityTooLarge',
};

/** What the client gets to see; anything that is not its doing becomes an InternalError without details. */
export function toS3Error(error: unknown): S3Error {
  const code = codeOf(error);
  const status = statuses[code];
  if (code === 'InternalError' || !isFault(error)) {
    return { code, status, message: 'We encountered an internal error. Please try again.' };
  }
  return { code, status, message: String(error.facts.s3What ?? error.message) };
}

function codeOf(error: unknown): S3ErrorCode {
  if (!isFault(error)) return 'InternalError';
  const named = error.facts.s3Error;
  if (typeof named === 'string' && Object.hasOwn(statuses, named)) return named as S3ErrorCode;
  return byKind[`${error.code} ${error.facts.kind}`] ?? byCode[error.code] ?? 'InternalError';
}
