// Buckets: a directory each, with a record of its owner. Creating is one rename, so a bucket is never half there.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isBucketName } from '../contract/object-store.ts';
import type { Clock } from '../lib/clock.ts';
import { makeDirectory, moveIntoPlace, remove, syncPath, writeNew } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { hasCode } from '../lib/read-file.ts';
import { sealJson } from '../lib/sealed-json.ts';
import { bucketDir, type Layout, notFound, tmpPath } from './layout.ts';
import { bucketRecord, readRecord } from './record.ts';

export class Buckets {
  readonly #layout: Layout;
  readonly #clock: Clock;

  constructor(layout: Layout, clock: Clock) {
    this.#layout = layout;
    this.#clock = clock;
  }

  /** Rejects with `conflict` when the name is taken, by whomever. */
  async create(bucket: string, owner: string): Promise<void> {
    const target = bucketDir(this.#layout, bucket);
    const made = tmpPath(this.#layout);
    try {
      await makeDirectory(join(made, 'objects'));
      const record = { format: 1, bucket, owner, createdMs: this.#clock.now() };
      await writeNew(join(made, 'bucket.json'), sealJson(record));
      await syncPath(made);
      await moveIntoPlace(made, target);
    } catch (error) {
      await remove(made).catch(() => {});
      if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
      throw new Fault('conflict', { what: `The bucket ${bucket} exists already.`, kind: 'bucket' }, error);
    }
  }

  async head(bucket: string): Promise<{ owner: string; createdMs: number }> {
    const record = await readRecord(join(bucketDir(this.#layout, bucket), 'bucket.json'), bucketRecord);
    if (!record) throw notFound('bucket', `The bucket ${bucket} does not exist.`);
    return { owner: record.owner, createdMs: record.createdMs };
  }

  async names(): Promise<string[]> {
    return (await readdir(this.#layout.buckets)).filter(isBucketName).sort();
  }

  async list(owner: string): Promise<{ bucket: string; createdMs: number }[]> {
    const found: { bucket: string; createdMs: number }[] = [];
    for (const bucket of await this.names()) {
      const head = await this.head(bucket);
      if (head.owner === owner) found.push({ bucket, createdMs: head.createdMs });
    }
    return found;
  }
}
