// The object store in a directory of this machine. One process owns the directory.
import type { Readable } from 'node:stream';
import type { ObjectInfo, ObjectPage, ObjectStore } from '../contract/object-store.ts';
import type { Clock } from '../lib/clock.ts';
import { makeDirectory, writeStream } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { Buckets } from './buckets.ts';
import { type JoinLimits, joinParts, type NamedPart } from './complete-upload.ts';
import { type Layout, layoutOf, objectPaths, tmpPath } from './layout.ts';
import { type ListQuery, listKeys } from './list-keys.ts';
import { type ByteRange, ObjectFiles } from './object-files.ts';
import { sweep } from './sweep.ts';
import { checkPartNumber, type Received, Uploads } from './uploads.ts';

export interface DirectoryStoreOptions {
  dir: string;
  clock: Clock;
  /** Default 5 GiB, as one PutObject may have on AWS. */
  maxObjectBytes?: number;
  /** Least size of every part but the last. Default 5 MiB, as on AWS. */
  minPartBytes?: number;
  /** Unfinished uploads older than this are removed on start. Default 7 days. */
  uploadMaxAgeMs?: number;
}

const mib = 1024 * 1024;
const dayMs = 24 * 60 * 60_000;

type Meta = Pick<ObjectInfo, 'contentType' | 'metadata'>;

/** Opens the store, creating its directory, and removes what a crash or forgotten uploads left behind. */
export async function openDirectoryStore(options: DirectoryStoreOptions): Promise<ObjectStore> {
  const layout = layoutOf(options.dir);
  for (const dir of [options.dir, layout.tmp, layout.buckets, layout.uploads]) await makeDirectory(dir);
  const buckets = new Buckets(layout, options.clock);
  const uploads = new Uploads(layout, options.clock);
  await sweep(layout, await buckets.names());
  await uploads.removeStale(options.uploadMaxAgeMs ?? 7 * dayMs);
  return new DirectoryStore(options, layout, buckets, uploads);
}

class DirectoryStore implements ObjectStore {
  readonly #clock: Clock;
  readonly #layout: Layout;
  readonly #buckets: Buckets;
  readonly #uploads: Uploads;
  readonly #files: ObjectFiles;
  readonly #limits: JoinLimits;
  readonly #completing = new Set<string>();

  constructor(options: DirectoryStoreOptions, layout: Layout, buckets: Buckets, uploads: Uploads) {
    this.#clock = options.clock;
    this.#layout = layout;
    this.#buckets = buckets;
    this.#uploads = uploads;
    this.#files = new ObjectFiles(layout);
    this.#limits = {
      maxObjectBytes: options.maxObjectBytes ?? 5 * 1024 * mib,
      minPartBytes: options.minPartBytes ?? 5 * mib,
    };
  }

  createBucket(bucket: string, owner: string): Promise<void> {
    return this.#buckets.create(bucket, owner);
  }

  listBuckets(owner: string): Promise<{ bucket: string; createdMs: number }[]> {
    return this.#buckets.list(owner);
  }

  headBucket(bucket: string): Promise<{ owner: string }> {
    return this.#buckets.head(bucket);
  }

  async put(bucket: string, key: string, body: Readable, meta: Meta): Promise<ObjectInfo> {
    const { bytes, md5, path } = await this.#receive(body, async () => {
      objectPaths(this.#layout, bucket, key);
      await this.#buckets.head(bucket);
    });
    const info = this.#info(key, { bytes, etag: `"${md5}"` }, meta);
    await this.#files.commit(bucket, path, info, md5);
    return info;
  }

  async head(bucket: string, key: string): Promise<ObjectInfo> {
    await this.#buckets.head(bucket);
    return this.#files.head(bucket, key);
  }

  async get(bucket: string, key: string, range?: ByteRange): Promise<{ info: ObjectInfo; body: Readable }> {
    await this.#buckets.head(bucket);
    return this.#files.get(bucket, key, range);
  }

  async delete(bucket: string, key: string): Promise<void> {
    await this.#buckets.head(bucket);
    await this.#files.delete(bucket, key);
  }

  async list(bucket: string, query: ListQuery): Promise<ObjectPage> {
    await this.#buckets.head(bucket);
    return listKeys(await this.#files.index(bucket), query);
  }

  async createUpload(bucket: string, key: string, { contentType, metadata }: Meta): Promise<string> {
    await this.#buckets.head(bucket);
    return this.#uploads.create({ bucket, key, contentType, metadata });
  }

  async putPart(
    bucket: string,
    key: string,
    uploadId: string,
    part: number,
    body: Readable,
  ): Promise<{ etag: string }> {
    const target = { bucket, key, uploadId };
    const received = await this.#receive(body, async () => {
      checkPartNumber(part);
      await this.#uploads.find(target);
    });
    await this.#uploads.putPart(target, part, received);
    return { etag: `"${received.md5}"` };
  }

  async completeUpload(bucket: string, key: string, uploadId: string, parts: NamedPart[]): Promise<ObjectInfo> {
    if (this.#completing.has(uploadId)) throw new Fault('conflict', { what: 'The upload is being completed already.' });
    this.#completing.add(uploadId);
    try {
      const target = { bucket, key, uploadId };
      const meta = await this.#uploads.find(target);
      const path = tmpPath(this.#layout);
      const { md5, ...content } = await joinParts(this.#uploads, target, parts, path, this.#limits);
      const info = this.#info(key, content, meta);
      await this.#files.commit(bucket, path, info, md5);
      await this.#uploads.remove(uploadId);
      return info;
    } finally {
      this.#completing.delete(uploadId);
    }
  }

  async abortUpload(bucket: string, key: string, uploadId: string): Promise<void> {
    await this.#uploads.find({ bucket, key, uploadId });
    await this.#uploads.remove(uploadId);
  }

  /** Checks first, then stores the body aside; the body is consumed or destroyed in any case. */
  async #receive(body: Readable, check: () => Promise<void>): Promise<Received> {
    try {
      await check();
    } catch (error) {
      body.destroy();
      throw error;
    }
    const path = tmpPath(this.#layout);
    const limits = { maxBytes: this.#limits.maxObjectBytes, what: 'The object' };
    return { path, ...(await writeStream(path, body, limits)) };
  }

  #info(key: string, content: Pick<ObjectInfo, 'bytes' | 'etag'>, { contentType, metadata }: Meta): ObjectInfo {
    return { key, ...content, lastModifiedMs: this.#clock.now(), contentType, metadata };
  }
}
