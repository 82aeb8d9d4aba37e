// What happens around a request: host styles, 100-continue, clients that vanish or stall, signed nonsense.
import { readdir } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { encodeUri } from '../../src/api/sigv4/uri.ts';
import { ManualClock } from '../../src/lib/manual-clock.ts';
import { changing } from './s3-changing.ts';
import { type S3Server, startS3Server } from './s3-server.ts';

const Bucket = 'refusals';
let server: S3Server;
let s3: S3Client;
beforeAll(async () => {
  server = await startS3Server();
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

test('virtual-host style names the bucket in the host', async () => {
  const lookup = (
    _: string,
    options: { all?: boolean },
    done: (error: null, address: unknown, family?: number) => void,
  ) => (options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4));
  const httpAgent = new Agent({ lookup: lookup as never });
  const endpoint = `http://s3.localhost:${server.port}`;
  const client = server.client({ endpoint, forcePathStyle: false, requestHandler: { httpAgent } });
  const got = await client.send(new GetObjectCommand({ Bucket, Key: 'key' }));
  expect(await got.Body?.transformToString()).toBe('original');
  expect((await client.send(new ListObjectsV2Command({ Bucket }))).KeyCount).toBe(1);
});

test('Expect: 100-continue is answered before the body', async () => {
  const outgoing = request(`${server.endpoint}/${Bucket}/key`, {
    method: 'PUT',
    headers: { expect: '100-continue', 'content-length': 3 },
  });
  outgoing.flushHeaders();
  await new Promise((resolve) => outgoing.once('continue', resolve));
  const answer = new Promise<number | undefined>((resolve) =>
    outgoing.once('response', (r) => resolve(r.resume().statusCode)),
  );
  outgoing.end('abc');
  expect(await answer).toBe(403);
});

test('a client that goes away in the middle of a body leaves nothing', async () => {
  const controller = new AbortController();
  async function* endless(): AsyncGenerator<Buffer> {
    yield Buffer.alloc(100_000);
    setImmediate(() => controller.abort());
    await new Promise(() => {});
  }
  const put = new PutObjectCommand({ Bucket, Key: 'key', Body: Readable.from(endless()), ContentLength: 200_000 });
  await expect(s3.send(put, { abortSignal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
  await expect.poll(() => readdir(join(server.dir, 'objects', 'tmp'))).toEqual([]);
  expect(await original()).toBe('original');
});

test('a connection on which nothing moves is cut', async () => {
  await using impatient = await startS3Server({ idleMs: 100, clock: new ManualClock(Date.now()) });
  const socket = connect(impatient.port, '127.0.0.1');
  socket.write('PUT /b/k HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
  await new Promise((resolve) => socket.once('close', resolve).resume());
});

test('signed nonsense gets an answer that is no server error', async () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 20 }),
    fc.constantFrom('%', '..', '/', '%00', '%ff', 'refusals', 'key', 'bytes=9-1', '-1', '999999999999'),
  );
  const names = fc.constantFrom(
    'list-type',
    'uploads',
    'uploadId',
    'partNumber',
    'delete',
    'location',
    'prefix',
    'delimiter',
    'max-keys',
    'marker',
    'continuation-token',
    'encoding-type',
    'response-content-type',
    'versionId',
    'x',
  );
  const headerNames = fc.constantFrom(
    'range',
    'if-match',
    'if-none-match',
    'if-modified-since',
    'content-type',
    'content-md5',
    'x-amz-checksum-crc32',
    'x-amz-meta-x',
    'x-amz-trailer',
    'x-amz-decoded-content-length',
    'x-amz-expected-bucket-owner',
  );
  const headerValue = fc.string({ unit: fc.constantFrom(...'ab01=,-"*/ %:;'), maxLength: 20 });
  const change = fc.record({
    method: fc.constantFrom('GET', 'PUT', 'POST', 'DELETE', 'HEAD', 'PATCH'),
    path: fc
      .array(
        text.map((each) => encodeUri(each)),
        { maxLength: 4 },
      )
      .map((parts) => `/${['refusals', ...parts].join('/')}`),
    query: fc.dictionary(names, text, { maxKeys: 2 }),
    headers: fc.dictionary(headerNames, headerValue, { maxKeys: 2 }),
    body: text,
  });
  await fc.assert(
    fc.asyncProperty(change, async (each) => {
      const body = each.method === 'GET' || each.method === 'HEAD' ? {} : { body: each.body };
      const client = changing(server, { ...each, body: '', ...body }, 'build');
      const outcome = await client.send(new ListBucketsCommand({})).catch((error: unknown) => error);
      const code = (outcome as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
      const sent = (outcome as { code?: string }).code;
      client.destroy();
      // Some paths and headers never leave the client.
      if (code === undefined && /^ERR_/.test(sent ?? '')) return;
      // The signature holds, so what is answered comes from the endpoint's inside.
      expect((outcome as Error).name).not.toBe('SignatureDoesNotMatch');
      expect([200, 204, 206, 304, 400, 403, 404, 405, 409, 411, 412, 416, 501]).toContain(code);
    }),
    { numRuns: 300 },
  );
});
