// What a client says about an object: its content type and `x-amz-meta-*` headers.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
import type { ObjectInfo } from '../../contract/object-store.ts';
import { header, type S3Call } from './call.ts';
import { s3Fault } from './error-table.ts';

const prefix = 'x-amz-meta-';
const maxBytes = 2048;
const maxTypeBytes = 1024;

export function readMetadata(call: S3Call): Pick<ObjectInfo, 'contentType' | 'metadata'> {
  const names = Object.keys(call.message.headers).filter((name) => name.startsWith(prefix));
  const metadata = Object.fromEntries(names.map((name) => [name.slice(prefix.length), header(call, name) ?? '']));
  const bytes = Object.entries(metadata).reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (bytes > maxBytes) throw s3Fault('MetadataTooLarge', 'Your metadata headers exceed 2 KB.');
  const contentType = header(call, 'content-type') ?? 'binary/octet-stream';
  if (contentType.length > maxTypeBytes) throw s3Fault('InvalidArgument', 'The Content-Type is too long.');
  return { contentType, metadata };
}

/** The headers that describe an object in an answer. */
export function objectHeaders(info: ObjectInfo): Record<string, string> {
  const own = Object.entries(info.metadata).map(([name, value]) => [`${prefix}${name}`, value]);
  return {
    etag: info.etag,
    'last-modified': new Date(info.lastModifiedMs).toUTCString(),
    'content-type': info.contentType,
    'accept-ranges': 'bytes',
    ...Object.fromEntries(own),
  };
}
