// Durable bytes by bucket and key: what the S3 endpoint serves and image builds read. Implemented in objects/.
import type { Readable } from 'node:stream';

export interface ObjectInfo {
  key: string;
  bytes: number;
  /** Quoted as S3 has it, e.g. `"9b2cf535f27731c974343645a3985328"`. */
  etag: string;
  lastModifiedMs: number;
  contentType: string;
  /** `x-amz-meta-*`, without the prefix. */
  metadata: Record<string, string>;
}

export interface ObjectPage {
  objects: ObjectInfo[];
  commonPrefixes: string[];
  /** Where the next page starts; absent on the last. */
  next?: string;
}

/** Rejects with `not_found` ({kind: 'bucket' | 'object' | 'upload'}), `conflict`, `invalid_input`, `too_large`. */
export interface ObjectStore {
  createBucket(bucket: string, owner: string): Promise<void>;
  /** Buckets of one account, sorted by name. */
  listBuckets(owner: string): Promise<{ bucket: string; createdMs: number }[]>;
  /** Owner account of the bucket. */
  headBucket(bucket: string): Promise<{ owner: string }>;
  put(
    bucket: string,
    key: string,
    body: Readable,
    meta: Pick<ObjectInfo, 'contentType' | 'metadata'>,
  ): Promise<ObjectInfo>;
  head(bucket: string, key: string): Promise<ObjectInfo>;
  /** The body, optionally of a byte range (both ends inclusive). */
  get(
    bucket: string,
    key: string,
    range?: { start: number; end: number },
  ): Promise<{ info: ObjectInfo; body: Readable }>;
  /** Idempotent. */
  delete(bucket: string, key: string): Promise<void>;
  list(bucket: string, query: { prefix: string; delimiter: string; after: string; limit: number }): Promise<ObjectPage>;
  createUpload(bucket: string, key: string, meta: Pick<ObjectInfo, 'contentType' | 'metadata'>): Promise<string>;
  putPart(bucket: string, key: string, uploadId: string, part: number, body: Readable): Promise<{ etag: string }>;
  completeUpload(
    bucket: string,
    key: string,
    uploadId: string,
    parts: { part: number; etag: string }[],
  ): Promise<ObjectInfo>;
  abortUpload(bucket: string, key: string, uploadId: string): Promise<void>;
}

export const maxKeyBytes = 1024;

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
export function isBucketName(bucket: string): boolean {
  return (
    /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) && !bucket.includes('..') && !/^([0-9]+\.){3}[0-9]+$/.test(bucket)
  );
}
