// A good request for every operation of the S3 endpoint, and changes that mean something there.
import fc from 'fast-check';
import { createChecksum } from '../../../src/api/sigv4/checksum.ts';
import type { RawRequest } from '../signed-request.ts';
import { type Change, change } from './before-signing.ts';

export interface S3Names {
  bucket: string;
  key: string;
  uploadId: string;
}

/** A request and the `x-amz-content-sha256` it is signed with; the hash of its body when absent. */
export interface S3Request {
  request: RawRequest;
  payload?: string;
}

const content = 'forty-two bytes of content, and a few more';

const removal = '<Delete><Object><Key>nothing</Key></Object><Quiet>true</Quiet></Delete>';

function crc32Of(text: string): string {
  const checksum = createChecksum('crc32');
  checksum.update(Buffer.from(text));
  return checksum.base64();
}

/** As clients send what they do not want to read twice: in chunks, with a checksum behind them. */
function inChunks(path: string): S3Request {
  const headers = ['Content-Encoding', 'aws-chunked', 'X-Amz-Trailer', 'x-amz-checksum-crc32'];
  const body = `${content.length.toString(16)}\r\n${content}\r\n0\r\nx-amz-checksum-crc32:${crc32Of(content)}\r\n\r\n`;
  return {
    request: {
      ...{ method: 'PUT', path, body },
      headers: [...headers, 'X-Amz-Decoded-Content-Length', String(content.length)],
    },
    payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
  };
}

export function s3Requests({ bucket, key, uploadId }: S3Names): S3Request[] {
  const [inBucket, atKey, other] = [`/${bucket}`, `/${bucket}/${key}`, `/${bucket}/other`];
  const part = { query: `partNumber=1&uploadId=${uploadId}` };
  const upload = { query: `uploadId=${uploadId}` };
  const plain: RawRequest[] = [
    { method: 'GET', path: '/' },
    { method: 'PUT', path: '/another-bucket' },
    { method: 'HEAD', path: inBucket },
    { method: 'GET', path: inBucket, query: 'prefix=k&delimiter=%2F&max-keys=5' },
    { method: 'GET', path: inBucket, query: 'list-type=2&prefix=k&max-keys=5&encoding-type=url' },
    { method: 'GET', path: inBucket, query: 'location' },
    {
      ...{ method: 'POST', path: inBucket, query: 'delete' },
      body: removal,
      headers: ['x-amz-checksum-crc32', crc32Of(removal)],
    },
    { method: 'PUT', path: other, body: content, headers: ['Content-Type', 'text/plain', 'x-amz-meta-a', 'b'] },
    { method: 'GET', path: atKey, headers: ['Range', 'bytes=0-9'] },
    { method: 'HEAD', path: atKey },
    { method: 'DELETE', path: other },
    { method: 'POST', path: other, query: 'uploads' },
    { method: 'PUT', path: atKey, body: content, ...part },
    {
      ...{ method: 'POST', path: atKey, ...upload },
      body: '<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>',
    },
  ];
  return [
    ...plain.flatMap((request) => [{ request }, { request, payload: 'UNSIGNED-PAYLOAD' }]),
    inChunks(other),
    inChunks(other),
  ];
}

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 20 }),
  fc.constantFrom('', '%', '..', '/', '\0', 'bytes=9-1', '-1', '0', '1', '10001', '999999999999', 'x'.repeat(1100)),
);
const parameters = `list-type uploads uploadId partNumber delete location prefix delimiter max-keys marker start-after
  continuation-token encoding-type response-content-type versionId acl x-id x`.split(/\s+/);
const headers =
  `range if-match if-none-match if-modified-since content-type content-md5 content-encoding x-amz-checksum-crc32
  x-amz-checksum-sha256 x-amz-sdk-checksum-algorithm x-amz-meta-x x-amz-trailer x-amz-decoded-content-length
  x-amz-expected-bucket-owner x-amz-copy-source x-amz-acl`.split(/\s+/);

export const s3Changes: fc.Arbitrary<Change> = fc.oneof(
  fc
    .dictionary(fc.constantFrom(...parameters), text, { maxKeys: 3 })
    .map((query) => change('query', (it) => ({ ...it, query: new URLSearchParams(query).toString() }))),
  fc
    .tuple(fc.constantFrom(...headers), fc.string({ unit: fc.constantFrom(...'ab01=,-"*/ %:;'), maxLength: 20 }))
    .map(([name, value]) => change(name, (it) => ({ ...it, headers: [...(it.headers ?? []), name, value] }))),
  text.map((key) =>
    change('key', (it) => ({ ...it, path: `/${it.path.split('/')[1] ?? ''}/${encodeURIComponent(key)}` })),
  ),
);
