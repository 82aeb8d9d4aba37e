// Everything an object store keeps, as its records say it: for whoever reads, copies or compares it without the store.
import { join } from 'node:path';
import { namesIn } from '../lib/read-file.ts';
import { layoutOf } from './layout.ts';
import { objectRecord, readRecord } from './record.ts';

export interface KeptObject {
  /** Path of the record. */
  record: string;
  /** Path of the bytes. */
  data: string;
  bytes: number;
  /** Absent where an earlier version kept an upload in parts. */
  md5: string | undefined;
}

/** Rejects when the disk does not say. */
export async function bucketRecords(directory: string): Promise<string[]> {
  const { buckets } = layoutOf(directory);
  return (await namesIn(buckets)).sort().map((bucket) => join(buckets, bucket, 'bucket.json'));
}

/** Paths of the records of all objects. What is in a directory that cannot be read is left out: `onUnread` hears of each. */
export async function* objectRecords(
  directory: string,
  onUnread: (directory: string, error: unknown) => void,
): AsyncGenerator<string> {
  const names = async (at: string): Promise<string[]> => {
    try {
      return (await namesIn(at)).sort();
    } catch (error) {
      onUnread(at, error);
      return [];
    }
  };
  const { buckets } = layoutOf(directory);
  for (const bucket of await names(buckets)) {
    const objects = join(buckets, bucket, 'objects');
    for (const folder of await names(objects)) {
      for (const name of await names(join(objects, folder))) {
        if (name.endsWith('.json')) yield join(objects, folder, name);
      }
    }
  }
}

/** Undefined when it was deleted. Rejects with `internal` when the record is damaged. */
export async function readKeptObject(record: string): Promise<KeptObject | undefined> {
  const found = await readRecord(record, objectRecord);
  if (!found) return undefined;
  const { bytes, etag, md5, data } = found;
  const [, wholeMd5] = /^"([0-9a-f]{32})"$/.exec(etag) ?? [];
  return { record, data: join(record, '..', data), bytes, md5: md5 ?? wholeMd5 };
}
