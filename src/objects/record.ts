// The small JSON files beside the bytes, validated whenever they are read: a damaged record is an error that names its file.
import { z } from 'zod';
import type { ObjectInfo } from '../contract/object-store.ts';
import { remove, writeDurably } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { readSmallFile } from '../lib/read-file.ts';
import { openSealed, sealJson } from '../lib/sealed-json.ts';

const maxRecordBytes = 64 * 1024;
const bytes = z.number().int().nonnegative();
const metadata = z.record(z.string(), z.string());

export const bucketRecord = z.object({
  format: z.literal(1),
  bucket: z.string(),
  owner: z.string(),
  createdMs: z.number(),
});

export const objectRecord = z.object({
  format: z.literal(1),
  key: z.string(),
  bytes,
  etag: z.string().regex(/^"[0-9a-f]{32}(-[0-9]{1,5})?"$/),
  lastModifiedMs: z.number(),
  contentType: z.string(),
  metadata,
  /** File name of the bytes, in the same directory. */
  data: z.string().regex(/^[0-9a-f]{64}\.[0-9a-f]{24}$/),
  /** Of the bytes as a whole, which the etag of an upload in parts is not; records of earlier versions have none. */
  md5: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
});
export type ObjectRecord = z.infer<typeof objectRecord>;

export const uploadRecord = z.object({
  format: z.literal(1),
  bucket: z.string(),
  key: z.string(),
  contentType: z.string(),
  metadata,
  createdMs: z.number(),
});
export type UploadRecord = z.infer<typeof uploadRecord>;

export const partRecord = z.object({
  format: z.literal(1),
  bytes,
  md5: z.string().regex(/^[0-9a-f]{32}$/),
  data: z.string().regex(/^[0-9]{1,5}\.[0-9a-f]{24}$/),
});
export type PartRecord = z.infer<typeof partRecord>;

/** The record at `path`, or undefined when there is none. Rejects with `internal` when it is damaged. */
export async function readRecord<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readSmallFile(path, maxRecordBytes);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(openSealed(text)));
  } catch (cause) {
    throw new Fault(
      'internal',
      { what: `The record ${path} is damaged. Restore it from a backup.`, file: path },
      cause,
    );
  }
}

/**
 * Puts `record` at `path`, through the new file `aside`, and with it the bytes at `data`, which it names. When it rejects, those bytes are gone, unless the record
 * stands all the same.
 */
export async function writeRecord<T extends { data: string }>(
  path: string,
  schema: z.ZodType<T>,
  record: T,
  { aside, data }: { aside: string; data: string },
): Promise<void> {
  try {
    await writeDurably(path, sealJson(record), { aside });
  } catch (error) {
    const standing = await readRecord(path, schema).catch(() => record);
    if (standing?.data !== record.data) await remove(data).catch(() => {});
    throw error;
  }
}

export function infoOf(record: ObjectRecord): ObjectInfo {
  const { key, bytes: size, etag, lastModifiedMs, contentType, metadata: own } = record;
  return { key, bytes: size, etag, lastModifiedMs, contentType, metadata: own };
}
