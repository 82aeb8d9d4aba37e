// Completing a multipart upload: checks the named parts, joins them, and gives the `md5ofmd5s-N` etag.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { writeStream } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { isMissing } from '../lib/read-file.ts';
import { notFound } from './layout.ts';
import type { PartRecord } from './record.ts';
import type { Uploads, UploadTarget } from './uploads.ts';

export interface NamedPart {
  part: number;
  /** Quoted or not. */
  etag: string;
}

interface Chosen {
  record: PartRecord;
  path: string;
}

export interface JoinLimits {
  minPartBytes: number;
  maxObjectBytes: number;
}

/** Joins the parts into the new file `path`. */
export async function joinParts(
  uploads: Uploads,
  target: UploadTarget,
  parts: readonly NamedPart[],
  path: string,
  limits: JoinLimits,
): Promise<{ bytes: number; etag: string; md5: string }> {
  const chosen = await choose(uploads, target, parts, limits.minPartBytes);
  const total = chosen.reduce((sum, { record }) => sum + record.bytes, 0);
  if (total > limits.maxObjectBytes) {
    throw new Fault('too_large', { what: 'The object', limit: `${limits.maxObjectBytes} bytes` });
  }
  const body = Readable.from(contents(chosen), { objectMode: false });
  const limit = { maxBytes: total, what: 'The object' };
  const { md5 } = await writeStream(path, body, limit).catch((error: unknown) => {
    throw isMissing(error) ? notFound('upload', 'The upload was aborted meanwhile.') : error;
  });
  const md5s = Buffer.from(chosen.map(({ record }) => record.md5).join(''), 'hex');
  return { bytes: total, etag: `"${createHash('md5').update(md5s).digest('hex')}-${chosen.length}"`, md5 };
}

async function choose(
  uploads: Uploads,
  target: UploadTarget,
  parts: readonly NamedPart[],
  minPartBytes: number,
): Promise<Chosen[]> {
  if (parts.length === 0) throw invalid('empty_parts', 'An upload needs at least one part.');
  if (parts.some(({ part }, i) => i > 0 && part <= (parts[i - 1]?.part ?? 0))) {
    throw invalid('part_order', 'The list of parts was not in ascending order.');
  }
  const chosen: Chosen[] = [];
  for (const [i, { part, etag }] of parts.entries()) {
    const found = await uploads.part(target, part);
    if (!found || found.record.md5 !== etag.replaceAll('"', '')) {
      throw invalid('part', `Part ${part} was not found, or its etag does not match.`);
    }
    if (i < parts.length - 1 && found.record.bytes < minPartBytes) {
      throw invalid('part_too_small', `Part ${part} is smaller than ${minPartBytes} bytes and not the last one.`);
    }
    chosen.push(found);
  }
  return chosen;
}

const invalid = (kind: string, what: string): Fault => new Fault('invalid_input', { what, kind });

async function* contents(chosen: readonly Chosen[]): AsyncGenerator<Buffer> {
  for (const { path } of chosen) yield* createReadStream(path);
}
