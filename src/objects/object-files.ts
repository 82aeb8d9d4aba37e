// The objects of all buckets as files. Bytes are durable before the record that names them is renamed into place, so a
// crash leaves the old object or the new one; bytes no record names are swept on start (sweep.ts).
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { ObjectInfo } from '../contract/object-store.ts';
import { makeDirectory, moveIntoPlace, remove, removeDurably } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { isMissing } from '../lib/read-file.ts';
import { KeyIndex } from './key-index.ts';
import { bucketDir, type Layout, notFound, objectPaths, randomName, tmpPath } from './layout.ts';
import { Lock } from './lock.ts';
import { infoOf, type ObjectRecord, objectRecord, readRecord, writeRecord } from './record.ts';

export interface ByteRange {
  start: number;
  end: number;
}

export class ObjectFiles {
  readonly #layout: Layout;
  readonly #lock = new Lock();
  readonly #indexes = new Map<string, KeyIndex>();

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  /** Makes the synced file `bytesPath`, whose content has this MD5, the object's bytes; takes the file over in any case. */
  async commit(bucket: string, bytesPath: string, info: ObjectInfo, md5: string): Promise<void> {
    const paths = objectPaths(this.#layout, bucket, info.key);
    const name = `${paths.hash}.${randomName()}`;
    const data = join(paths.dir, name);
    try {
      await makeDirectory(paths.dir);
      await moveIntoPlace(bytesPath, data);
    } catch (error) {
      await remove(bytesPath).catch(() => {});
      throw error;
    }
    await this.#change(bucket, async () => {
      // A damaged old record must not keep its object from being replaced.
      const old = await readRecord(paths.record, objectRecord).catch(() => undefined);
      const record: ObjectRecord = { format: 1, ...info, data: name, md5 };
      await writeRecord(paths.record, objectRecord, record, { aside: tmpPath(this.#layout), data });
      this.#indexes.get(bucket)?.set(info);
      if (old) await this.#sweepable(join(paths.dir, old.data));
    });
  }

  /** One change of a bucket at a time. One that failed may have happened in part: what is known of the bucket's keys is read anew. */
  #change(bucket: string, work: () => Promise<void>): Promise<void> {
    return this.#lock.run(bucket, async () => {
      try {
        await work();
      } catch (error) {
        this.#indexes.delete(bucket);
        throw error;
      }
    });
  }

  /** Removes bytes that no record names any more. The change is made: what cannot be removed now, the next start sweeps. */
  async #sweepable(path: string): Promise<void> {
    await remove(path).catch(() => {});
  }

  async head(bucket: string, key: string): Promise<ObjectInfo> {
    return infoOf(await this.#record(bucket, key));
  }

  /** The reader owns `body`: it holds a descriptor until it ends or is destroyed. */
  async get(bucket: string, key: string, range?: ByteRange): Promise<{ info: ObjectInfo; body: Readable }> {
    const { record, file } = await this.#openLatest(bucket, key);
    const { start, end } = range ?? { start: 0, end: record.bytes - 1 };
    if (range && (start < 0 || start > end || start >= record.bytes)) {
      await file.close();
      throw new Fault('invalid_input', { what: 'The range lies outside the object.', kind: 'range' });
    }
    const last = Math.min(end, record.bytes - 1);
    // An empty object has no last byte; reading from its end gives nothing.
    const body = file.createReadStream(last < start ? { start: record.bytes } : { start, end: last });
    return { info: infoOf(record), body };
  }

  async delete(bucket: string, key: string): Promise<void> {
    const paths = objectPaths(this.#layout, bucket, key);
    await this.#change(bucket, async () => {
      const record = await readRecord(paths.record, objectRecord);
      if (!record) return;
      await removeDurably(paths.record);
      this.#indexes.get(bucket)?.delete(key);
      await this.#sweepable(join(paths.dir, record.data));
    });
  }

  /** The bucket's keys, read from disk the first time. */
  async index(bucket: string): Promise<KeyIndex> {
    return this.#lock.run(bucket, async () => {
      const loaded = this.#indexes.get(bucket) ?? (await this.#load(bucket));
      this.#indexes.set(bucket, loaded);
      return loaded;
    });
  }

  async #load(bucket: string): Promise<KeyIndex> {
    const index = new KeyIndex();
    const objects = join(bucketDir(this.#layout, bucket), 'objects');
    for (const folder of await readdir(objects)) {
      for (const name of await readdir(join(objects, folder))) {
        if (!name.endsWith('.json')) continue;
        const record = await readRecord(join(objects, folder, name), objectRecord);
        if (record) index.set(infoOf(record));
      }
    }
    return index;
  }

  async #record(bucket: string, key: string): Promise<ObjectRecord> {
    const record = await readRecord(objectPaths(this.#layout, bucket, key).record, objectRecord);
    if (!record) throw notFound('object', 'The object does not exist.');
    return record;
  }

  /** An overwrite may remove the bytes between reading the record and opening them: then the new record is there. */
  async #openLatest(bucket: string, key: string): Promise<{ record: ObjectRecord; file: FileHandle }> {
    const { dir } = objectPaths(this.#layout, bucket, key);
    let record = await this.#record(bucket, key);
    for (;;) {
      try {
        return { record, file: await open(join(dir, record.data), 'r') };
      } catch (error) {
        const newer = await this.#record(bucket, key);
        if (!isMissing(error) || newer.data === record.data) throw error;
        record = newer;
      }
    }
  }
}
