// The real JavaScript SDK against our S3 endpoint.
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  type ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bob, type S3Server, startS3Server } from './s3-server.ts';

const Bucket = 'artifacts';
let server: S3Server;
let s3: S3Client;

beforeAll(async () => {
  server = await startS3Server();
  s3 = server.client();
  await s3.send(new CreateBucketCommand({ Bucket }));
});
afterAll(async () => {
  s3.destroy();
  expect(server.failures).toEqual([]);
  await server[Symbol.asyncDispose]();
});

const read = async (Key: string, more: object = {}): Promise<Buffer> => {
  const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key, ...more }));
  return Buffer.from((await Body?.transformToByteArray()) ?? []);
};

test('put, head, get, range, condition, delete', async () => {
  const Body = randomBytes(100_000);
  const Key = 'a folder/ü ../%2e☃+&=?#';
  const put = await s3.send(
    new PutObjectCommand({ Bucket, Key, Body, ContentType: 'text/x', Metadata: { who: 'me' } }),
  );
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
  expect(head).toMatchObject({
    ContentLength: 100_000,
    ContentType: 'text/x',
    Metadata: { who: 'me' },
    ETag: put.ETag,
  });
  expect((await read(Key)).equals(Body)).toBe(true);
  expect((await read(Key, { Range: 'bytes=10-19' })).equals(Body.subarray(10, 20))).toBe(true);
  expect((await read(Key, { Range: 'bytes=-7' })).equals(Body.subarray(-7))).toBe(true);
  await expect(read(Key, { Range: 'bytes=100000-' })).rejects.toMatchObject({ name: 'InvalidRange' });
  await expect(read(Key, { IfMatch: '"x"' })).rejects.toMatchObject({ name: 'PreconditionFailed' });
  await expect(read(Key, { IfNoneMatch: put.ETag })).rejects.toMatchObject({ $metadata: { httpStatusCode: 304 } });
  await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  await expect(read(Key)).rejects.toMatchObject({ name: 'NoSuchKey', $metadata: { httpStatusCode: 404 } });
  await expect(s3.send(new HeadObjectCommand({ Bucket, Key }))).rejects.toMatchObject({ name: 'NotFound' });
});

test('an empty object', async () => {
  await s3.send(new PutObjectCommand({ Bucket, Key: 'empty', Body: '' }));
  expect((await read('empty')).length).toBe(0);
});

test.each<ChecksumAlgorithm>(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'])(
  'checksum %s',
  async (ChecksumAlgorithm) => {
    const Body = randomBytes(300_000);
    await s3.send(new PutObjectCommand({ Bucket, Key: 'sum', Body, ChecksumAlgorithm }));
    expect((await read('sum')).equals(Body)).toBe(true);
    const streamed = Readable.from([Body.subarray(0, 70_000), Body.subarray(70_000)]);
    await s3.send(
      new PutObjectCommand({ Bucket, Key: 'sum2', Body: streamed, ContentLength: Body.length, ChecksumAlgorithm }),
    );
    expect((await read('sum2')).equals(Body)).toBe(true);
  },
);

test('multipart upload: parts, replaced part, etag, errors, abort', async () => {
  const [one, two] = [randomBytes(6 << 20), randomBytes((5 << 20) + 17)];
  const three = randomBytes(1000);
  const Key = 'big/multipart.bin';
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key, Metadata: { kind: 'multi' } }));
  const part = async (PartNumber: number, Body: Buffer): Promise<{ PartNumber: number; ETag: string | undefined }> => {
    const { ETag } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    return { PartNumber, ETag };
  };
  await part(2, three);
  const Parts = [await part(1, one), await part(2, two), await part(3, three)];
  const complete = (parts: object[], id = UploadId) =>
    s3.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId: id, MultipartUpload: { Parts: parts } }));
  await expect(complete([...Parts].reverse())).rejects.toMatchObject({ name: 'InvalidPartOrder' });
  await expect(complete([{ PartNumber: 1, ETag: '"nope"' }])).rejects.toMatchObject({ name: 'InvalidPart' });
  await expect(complete(Parts, 'f'.repeat(24))).rejects.toMatchObject({ name: 'NoSuchUpload' });
  await expect(complete([])).rejects.toMatchObject({ name: 'MalformedXML' });
  expect((await complete(Parts)).ETag).toMatch(/^"[0-9a-f]{32}-3"$/);
  expect((await read(Key)).equals(Buffer.concat([one, two, three]))).toBe(true);
  expect((await s3.send(new HeadObjectCommand({ Bucket, Key }))).Metadata).toEqual({ kind: 'multi' });

  const aborted = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId: aborted.UploadId }));
  await expect(
    s3.send(new UploadPartCommand({ Bucket, Key, UploadId: aborted.UploadId, PartNumber: 1, Body: 'x' })),
  ).rejects.toMatchObject({ name: 'NoSuchUpload' });
});

test('a small part that is not the last is refused', async () => {
  const Key = 'small-parts';
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const Parts = [];
  for (const PartNumber of [1, 2]) {
    const { ETag } = await s3.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body: 'tiny' }));
    Parts.push({ PartNumber, ETag });
  }
  const complete = new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } });
  await expect(s3.send(complete)).rejects.toMatchObject({ name: 'EntityTooSmall' });
});

test('listing with delimiter, pages, both versions, and deletion of many', async () => {
  const Bucket = 'listing.bucket';
  await s3.send(new CreateBucketCommand({ Bucket }));
  const keys = ['a/1', 'a/2', 'b', 'c/1', 'c/d/2', 'd & <e>', 'é', '😀', '\uffee'];
  for (const Key of keys) await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  const seen: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: '/', MaxKeys: 2, ContinuationToken }));
    seen.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => `${Prefix}`));
    seen.push(...(page.Contents ?? []).map(({ Key }) => `${Key}`));
    ContinuationToken = page.NextContinuationToken;
  } while (ContinuationToken);
  expect(seen.sort()).toEqual(['a/', 'b', 'c/', 'd & <e>', 'é', '\uffee', '😀'].sort());
  const byBytes = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const all = await s3.send(new ListObjectsV2Command({ Bucket }));
  expect(all.Contents?.map(({ Key }) => Key)).toEqual(byBytes);
  const under = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'c/', Delimiter: '/', StartAfter: 'c/1' }));
  expect([under.Contents, under.CommonPrefixes]).toEqual([undefined, [{ Prefix: 'c/d/' }]]);
  const first = await s3.send(new ListObjectsCommand({ Bucket, MaxKeys: 4 }));
  const second = await s3.send(new ListObjectsCommand({ Bucket, Marker: first.NextMarker }));
  expect([...(first.Contents ?? []), ...(second.Contents ?? [])].map(({ Key }) => Key)).toEqual(byBytes);
  const gone = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: keys.map((Key) => ({ Key })) } }));
  expect(gone.Deleted).toHaveLength(keys.length);
  expect((await s3.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(0);
});

test('buckets: location, head, list, owned by one account', async () => {
  expect((await s3.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint).toBeUndefined();
  await s3.send(new HeadBucketCommand({ Bucket }));
  const names = (await s3.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name);
  expect(names).toContain(Bucket);
  await expect(s3.send(new CreateBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'BucketAlreadyOwnedByYou' });
  await expect(s3.send(new HeadBucketCommand({ Bucket: 'nowhere' }))).rejects.toMatchObject({ name: 'NotFound' });
  await expect(s3.send(new ListObjectsV2Command({ Bucket: 'nowhere' }))).rejects.toMatchObject({
    name: 'NoSuchBucket',
  });

  const other = server.client({ credentials: bob });
  const denied = { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } };
  await expect(other.send(new GetObjectCommand({ Bucket, Key: 'empty' }))).rejects.toMatchObject(denied);
  await expect(other.send(new PutObjectCommand({ Bucket, Key: 'x', Body: 'x' }))).rejects.toMatchObject(denied);
  await expect(other.send(new ListObjectsV2Command({ Bucket }))).rejects.toMatchObject(denied);
  await expect(other.send(new CreateBucketCommand({ Bucket }))).rejects.toMatchObject({ name: 'BucketAlreadyExists' });
  expect((await other.send(new ListBucketsCommand({}))).Buckets ?? []).toEqual([]);
  other.destroy();
});
