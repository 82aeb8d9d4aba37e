// What the S3 endpoint refuses, and how: wrong signatures, changed bodies, unknown operations, hostile input.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetBucketAclCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { changing } from './s3-changing.ts';
import { alice, type S3Server, startS3Server } from './s3-server.ts';

const Bucket = 'refusals';
let server: S3Server;
let s3: S3Client;
beforeAll(async () => {
  server = await startS3Server({
    maxBodyBytes: 3 << 20,
    mayAccess: ({ resource }) => !resource.endsWith('/forbidden'),
  });
  s3 = server.client();
  await s3.send(new CreateBucketCommand({ Bucket }));
  await s3.send(new PutObjectCommand({ Bucket, Key: 'key', Body: 'original' }));
});
afterAll(async () => {
  s3.destroy();
  expect(server.failures).toEqual([]);
  await server[Symbol.asyncDispose]();
});

const original = async (): Promise<string | undefined> =>
  (await s3.send(new GetObjectCommand({ Bucket, Key: 'key' }))).Body?.transformToString();
const status = (httpStatusCode: number) => ({ $metadata: { httpStatusCode } });

test.each<[string, S3ClientConfig, object]>([
  [
    'a wrong secret',
    { credentials: { ...alice, secretAccessKey: 'x' } },
    { name: 'SignatureDoesNotMatch', ...status(403) },
  ],
  [
    'an unknown key',
    { credentials: { ...alice, accessKeyId: 'AKIAX' } },
    { name: 'InvalidAccessKeyId', ...status(403) },
  ],
  ['another region', { region: 'eu-west-1' }, { name: 'AuthorizationHeaderMalformed', ...status(400) }],
  ['an old date', { systemClockOffset: -16 * 60_000 }, { name: 'RequestTimeTooSkewed', ...status(403) }],
  ['a date to come', { systemClockOffset: 16 * 60_000 }, { name: 'RequestTimeTooSkewed', ...status(403) }],
])('%s', async (_, config, expected) => {
  await expect(
    server.client(config).send(new PutObjectCommand({ Bucket, Key: 'key', Body: 'new' })),
  ).rejects.toMatchObject(expected);
  expect(await original()).toBe('original');
});

test('a body changed on the way is not stored', async () => {
  const put = new PutObjectCommand({ Bucket, Key: 'key', Body: 'right!' });
  const name = 'XAmzContentSHA256Mismatch';
  await expect(changing(server, { body: 'wrong!' }, 'deserialize').send(put)).rejects.toMatchObject({
    name,
    ...status(400),
  });
  expect(await original()).toBe('original');
  expect(await readdir(join(server.dir, 'objects', 'tmp'))).toEqual([]);
});

test('a streamed body changed on the way is not stored', async () => {
  const send = (Body: Readable, client: S3Client) =>
    client.send(new PutObjectCommand({ Bucket, Key: 'key', Body, ContentLength: 6 }));
  const frame = (data: string): string => `6\r\n${data}\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n`;
  const changed = changing(server, { body: frame('wrong!') }, 'deserialize');
  await expect(send(Readable.from(['right!']), changed)).rejects.toMatchObject({ name: 'BadDigest', ...status(400) });
  expect(server.payloads.at(-1)).toBe('STREAMING-UNSIGNED-PAYLOAD-TRAILER');
  expect(await original()).toBe('original');
});

test.each(['content-md5', 'x-amz-checksum-crc32', 'x-amz-checksum-crc64nvme'])(
  'a wrong %s is not stored',
  async (name) => {
    const bytes = name === 'content-md5' ? 16 : name.endsWith('crc32') ? 4 : 8;
    const put = new PutObjectCommand({ Bucket, Key: 'key', Body: 'new' });
    const wrong = changing(server, { headers: { [name]: Buffer.alloc(bytes).toString('base64') } }, 'build');
    await expect(wrong.send(put)).rejects.toMatchObject({ name: 'BadDigest', ...status(400) });
    const invalid = changing(server, { headers: { [name]: 'nonsense' } }, 'build');
    await expect(invalid.send(put)).rejects.toMatchObject({ name: 'InvalidDigest', ...status(400) });
    expect(await original()).toBe('original');
  },
);

test('without a signature: 403, XML, request ids', async () => {
  const answer = await fetch(`${server.endpoint}/${Bucket}/key`);
  const text = await answer.text();
  expect(answer.status).toBe(403);
  expect(answer.headers.get('content-type')).toBe('application/xml');
  expect(text).toContain('<Code>AccessDenied</Code>');
  expect(text).toContain(`<RequestId>${answer.headers.get('x-amz-request-id')}</RequestId>`);
  expect(text).toContain(`<HostId>${answer.headers.get('x-amz-id-2')}</HostId>`);
});

test('what is not implemented says so', async () => {
  const expected = { name: 'NotImplemented', ...status(501) };
  await expect(s3.send(new GetBucketAclCommand({ Bucket }))).rejects.toMatchObject(expected);
  const copy = new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/key` });
  await expect(s3.send(copy)).rejects.toMatchObject(expected);
  const once = new PutObjectCommand({ Bucket, Key: 'key', Body: 'x', IfNoneMatch: '*' });
  await expect(s3.send(once)).rejects.toMatchObject(expected);
  expect(await original()).toBe('original');
});

test('bad names and arguments', async () => {
  const list = (input: object) => s3.send(new ListObjectsV2Command({ Bucket, ...input }));
  await expect(s3.send(new CreateBucketCommand({ Bucket: 'Upper' }))).rejects.toMatchObject({
    name: 'InvalidBucketName',
  });
  await expect(list({ ContinuationToken: '!' })).rejects.toMatchObject({ name: 'InvalidArgument' });
  await expect(list({ MaxKeys: -1 })).rejects.toMatchObject({ name: 'InvalidArgument' });
  const long = new PutObjectCommand({ Bucket, Key: 'x'.repeat(1025), Body: '' });
  await expect(s3.send(long)).rejects.toMatchObject({ name: 'KeyTooLongError' });
  const heavy = new PutObjectCommand({ Bucket, Key: 'k', Body: '', Metadata: { m: 'x'.repeat(2048) } });
  await expect(s3.send(heavy)).rejects.toMatchObject({ name: 'MetadataTooLarge' });
  const other = new HeadObjectCommand({ Bucket, Key: 'key', ExpectedBucketOwner: '999999999999' });
  await expect(s3.send(other)).rejects.toMatchObject(status(403));
});

test.each([
  '<Delete><Object><Key>key</Key></Object>',
  '<Delete/>',
  'no xml',
  '<!DOCTYPE x [<!ENTITY e "key">]><Delete><Object><Key>&e;</Key></Object></Delete>',
  `${'<Delete>'.repeat(100)}${'</Delete>'.repeat(100)}`,
  `<Delete>${'<Object><Key>k</Key></Object>'.repeat(1001)}</Delete>`,
])('malformed XML: %s', async (body) => {
  const remove = new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'x' }] } });
  const client = changing(server, { body, headers: { 'content-md5': '' } }, 'build');
  client.middlewareStack.add(
    (next) => (args) => {
      const { headers } = args.request as { headers: Record<string, string> };
      for (const name of Object.keys(headers)) if (/checksum|content-md5/.test(name)) delete headers[name];
      return next(args);
    },
    { step: 'build', priority: 'low' },
  );
  await expect(client.send(remove)).rejects.toMatchObject({ name: 'MalformedXML', ...status(400) });
  expect(await original()).toBe('original');
});

test('finer rights apply to each object of a deletion', async () => {
  await expect(s3.send(new GetObjectCommand({ Bucket, Key: 'forbidden' }))).rejects.toMatchObject({
    name: 'AccessDenied',
  });
  const Objects = [{ Key: 'nothing' }, { Key: 'forbidden' }];
  const result = await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  expect(result.Deleted).toEqual([{ Key: 'nothing' }]);
  expect(result.Errors).toMatchObject([{ Key: 'forbidden', Code: 'AccessDenied' }]);
});

test('a body over the limit is refused', async () => {
  const put = new PutObjectCommand({ Bucket, Key: 'key', Body: Buffer.alloc((3 << 20) + 1) });
  await expect(s3.send(put)).rejects.toMatchObject({ name: 'EntityTooLarge', ...status(400) });
  expect(await original()).toBe('original');
});
