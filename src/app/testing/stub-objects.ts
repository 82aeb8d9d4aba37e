// Object store for tests: buckets and objects in memory, of what image builds read only.
import { Readable } from 'node:stream';
import type { ObjectInfo, ObjectStore } from '../../contract/object-store.ts';
import { Fault } from '../../lib/errors.ts';

type Reading = Pick<ObjectStore, 'headBucket' | 'get'>;

/** Objects by bucket and key; every bucket belongs to `owner`. */
export function stubObjects(owner: string, buckets: Record<string, Record<string, string>>): ObjectStore {
  const reading: Reading = {
    async headBucket(bucket) {
      if (!buckets[bucket]) throw new Fault('not_found', { what: 'No such bucket.', kind: 'bucket' });
      return { owner };
    },
    async get(bucket, key) {
      const text = buckets[bucket]?.[key];
      if (text === undefined) throw new Fault('not_found', { what: 'No such key.', kind: 'object' });
      const info: ObjectInfo = {
        key,
        bytes: text.length,
        etag: '"e"',
        lastModifiedMs: 0,
        contentType: 'application/zip',
        metadata: {},
      };
      return { info, body: Readable.from([text]) };
    },
  };
  return reading as ObjectStore;
}
