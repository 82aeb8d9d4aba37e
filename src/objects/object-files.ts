// The objects of all buckets as files. Bytes are durable before the record that names them is renamed into place, so a
// crash leaves the old object or the new one; bytes no record names are swept on start (sweep.ts).
import { type FileHandle, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { ObjectInfo } from '../contract/object-store.ts';
import { Fault } from '../lib/errors.ts';
import { isMissing, makeDirectory, syncDirectory, writeJson } from './durable-file.ts';
import { KeyIndex } from './key-index.ts';
import { bucketDir, type Layout, notFound, objectPaths, randomName, tmpPath } from './layout.ts';
import { Lock } from './lock.ts';
import { infoOf, type ObjectRecord, objectRecord, readRecord } from './record.ts';

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
    const data = `${paths.hash}.${randomName()}`;
    try {
      await makeDirectory(paths.dir);
      await rename(bytesPath, join(paths.dir, data));
    } catch (error) {
      await rm(bytesPath, { force: true });
      throw error;
    }
    await syncDirectory(paths.dir);
    await this.#lock.run(bucket, async () => {
      // A damaged old record must not keep its object from being replaced.
      const old = await readRecord(paths.record, objectRecord).catch(() => undefined);
      const record: ObjectRecord = { format: 1, ...info, data, md5 };
      try {
        await writeJson(paths.record, tmpPath(this.#layout), record);
      } catch (error) {
        await rm(join(paths.dir, data), { force: true });
        throw error;
      }
      this.#indexes.get(bucket)?.set(info);
      if (old) await rm(join(paths.dir, old.data), { force: true });
    });
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
    await this.#lock.run(bucket, async () => {
      const record = await readRecord(paths.record, objectRecord);
      if (!record) return;
      await rm(paths.record, { force: true });
      await syncDirectory(paths.dir);
      this.#indexes.get(bucket)?.delete(key);
      await rm(join(paths.dir, record.data), { force: true });
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
