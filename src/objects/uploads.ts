// Multipart uploads: parts are files of the upload's directory until completing joins them into one.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../lib/clock.ts';
import { freshDirectory, moveIntoPlace, remove, syncPath, type Written, writeNew } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { isMissing } from '../lib/read-file.ts';
import { sealJson } from '../lib/sealed-json.ts';
import { type Layout, notFound, objectPaths, randomName, tmpPath, uploadDir } from './layout.ts';
import { type PartRecord, partRecord, readRecord, type UploadRecord, uploadRecord, writeRecord } from './record.ts';

const maxParts = 10_000;

export interface UploadTarget {
  bucket: string;
  key: string;
  uploadId: string;
}

/** A body that was stored aside and synced. */
export interface Received extends Written {
  path: string;
}

export function checkPartNumber(part: number): void {
  if (Number.isInteger(part) && part >= 1 && part <= maxParts) return;
  throw new Fault('invalid_input', { what: `A part number lies between 1 and ${maxParts}.`, kind: 'part_number' });
}

export class Uploads {
  readonly #layout: Layout;
  readonly #clock: Clock;

  constructor(layout: Layout, clock: Clock) {
    this.#layout = layout;
    this.#clock = clock;
  }

  async create(upload: Pick<UploadRecord, 'bucket' | 'key' | 'contentType' | 'metadata'>): Promise<string> {
    objectPaths(this.#layout, upload.bucket, upload.key);
    const uploadId = randomName();
    const made = tmpPath(this.#layout);
    const record: UploadRecord = { format: 1, ...upload, createdMs: this.#clock.now() };
    try {
      await freshDirectory(made);
      await writeNew(join(made, 'upload.json'), sealJson(record));
      await syncPath(made);
      await moveIntoPlace(made, uploadDir(this.#layout, uploadId));
    } catch (error) {
      await remove(made).catch(() => {});
      throw error;
    }
    return uploadId;
  }

  /** The upload's record; `not_found` when the id is of another bucket or key. */
  async find(target: UploadTarget): Promise<UploadRecord> {
    const record = await readRecord(join(uploadDir(this.#layout, target.uploadId), 'upload.json'), uploadRecord);
    if (record?.bucket !== target.bucket || record.key !== target.key) {
      throw notFound('upload', 'The upload does not exist. It may have been aborted or completed.');
    }
    return record;
  }

  /** Takes the synced file over as a part; a part number sent again replaces the earlier one. */
  async putPart(target: UploadTarget, part: number, received: Received): Promise<void> {
    const dir = uploadDir(this.#layout, target.uploadId);
    const { path, bytes, md5 } = received;
    const record: PartRecord = { format: 1, bytes, md5, data: `${part}.${randomName()}` };
    const data = join(dir, record.data);
    try {
      await moveIntoPlace(path, data);
      await writeRecord(join(dir, `${part}.json`), partRecord, record, { aside: tmpPath(this.#layout), data });
    } catch (error) {
      await remove(path).catch(() => {});
      throw isMissing(error) ? notFound('upload', 'The upload was aborted or completed meanwhile.') : error;
    }
  }

  async part(target: UploadTarget, part: number): Promise<{ record: PartRecord; path: string } | undefined> {
    const dir = uploadDir(this.#layout, target.uploadId);
    const record = await readRecord(join(dir, `${part}.json`), partRecord);
    return record && { record, path: join(dir, record.data) };
  }

  async remove(uploadId: string): Promise<void> {
    // Renamed first: what is half removed must not look like an upload with parts missing.
    const doomed = tmpPath(this.#layout);
    try {
      await moveIntoPlace(uploadDir(this.#layout, uploadId), doomed);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    // What cannot be removed now, the next start sweeps.
    await remove(doomed).catch(() => {});
  }

  /** Removes uploads begun more than `ageMs` ago, and directories without a readable record. */
  async removeStale(ageMs: number): Promise<void> {
    for (const name of await readdir(this.#layout.uploads)) {
      if (!/^[0-9a-f]{24}$/.test(name)) continue;
      const path = join(this.#layout.uploads, name, 'upload.json');
      const record = await readRecord(path, uploadRecord).catch(() => undefined);
      if (!record || record.createdMs < this.#clock.now() - ageMs) await this.remove(name);
    }
  }
}
