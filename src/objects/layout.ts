// Where things lie below the store's directory, and names that cannot leave it: keys become SHA-256 hashes, every other
// name is checked against a pattern before it becomes part of a path.
//   tmp/<random>                              being written
//   buckets/<bucket>/bucket.json
//   buckets/<bucket>/objects/<hh>/<hash>.json the object's record: renaming it into place is the commit
//   buckets/<bucket>/objects/<hh>/<hash>.<random>  the bytes that record names
//   uploads/<id>/upload.json, <part>.json, <part>.<random>
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { isBucketName, maxKeyBytes } from '../contract/object-store.ts';
import { Fault } from '../lib/errors.ts';

export interface Layout {
  tmp: string;
  buckets: string;
  uploads: string;
}

export const layoutOf = (dir: string): Layout => ({
  tmp: join(dir, 'tmp'),
  buckets: join(dir, 'buckets'),
  uploads: join(dir, 'uploads'),
});

export const randomName = (): string => randomBytes(12).toString('hex');
export const tmpPath = (layout: Layout): string => join(layout.tmp, randomName());

export function bucketDir(layout: Layout, bucket: string): string {
  if (!isBucketName(bucket)) {
    throw new Fault('invalid_input', { what: `'${bucket.slice(0, 80)}' is not a bucket name.`, kind: 'bucket' });
  }
  return join(layout.buckets, bucket);
}

export interface ObjectPaths {
  dir: string;
  hash: string;
  record: string;
}

export function objectPaths(layout: Layout, bucket: string, key: string): ObjectPaths {
  const bytes = Buffer.from(key, 'utf8');
  if (bytes.length === 0 || bytes.length > maxKeyBytes || !key.isWellFormed()) {
    throw new Fault('invalid_input', { what: 'A key has 1 to 1024 bytes of UTF-8.', kind: 'object' });
  }
  const hash = createHash('sha256').update(bytes).digest('hex');
  const dir = join(bucketDir(layout, bucket), 'objects', hash.slice(0, 2));
  return { dir, hash, record: join(dir, `${hash}.json`) };
}

export function uploadDir(layout: Layout, uploadId: string): string {
  if (!/^[0-9a-f]{24}$/.test(uploadId)) throw notFound('upload', 'The upload does not exist.');
  return join(layout.uploads, uploadId);
}

export const notFound = (kind: 'bucket' | 'object' | 'upload', what: string): Fault =>
  new Fault('not_found', { what, kind });
