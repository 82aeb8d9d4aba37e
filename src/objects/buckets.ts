// Buckets: a directory each, with a record of its owner. Creating is one rename, so a bucket is never half there.
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isBucketName } from '../contract/object-store.ts';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import { hasCode, syncDirectory, writeJson } from './durable-file.ts';
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
    await mkdir(join(made, 'objects'), { recursive: true, mode: 0o700 });
    try {
      const record = { format: 1, bucket, owner, createdMs: this.#clock.now() };
      await writeJson(join(made, 'bucket.json'), tmpPath(this.#layout), record);
      await rename(made, target);
    } catch (error) {
      await rm(made, { recursive: true, force: true });
      if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error;
      throw new Fault('conflict', { what: `The bucket ${bucket} exists already.`, kind: 'bucket' }, error);
    }
    await syncDirectory(this.#layout.buckets);
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
