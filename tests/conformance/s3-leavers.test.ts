// Requests that end otherwise than planned leave no file open and none behind: refused late, or left by their client at any moment.
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requestBytes, signHeaders } from '../support/signed-request.ts';
import { alice, type S3Server, startS3Server } from './s3-server.ts';

const Bucket = 'leavers';
/** More than all buffers on the way take. */
const largeBytes = 32 << 20;
let server: S3Server;
let s3: S3Client;
beforeAll(async () => {
  server = await startS3Server();
  s3 = server.client();
  await s3.send(new CreateBucketCommand({ Bucket }));
  await s3.send(new PutObjectCommand({ Bucket, Key: 'small', Body: 'a few bytes' }));
  await s3.send(new PutObjectCommand({ Bucket, Key: 'large', Body: Buffer.alloc(largeBytes) }));
});
afterAll(async () => {
  s3.destroy();
  await server[Symbol.asyncDispose]();
});

/** Files of the store that this process, which is the server, holds open, and uploads that were begun. */
const held = (): string[] => {
  const open = readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  const objects = join(server.dir, 'objects');
  return [...open.filter((path) => path.startsWith(objects)), ...readdirSync(join(objects, 'tmp'))];
};

function bytesOf(method: string, key: string, body = ''): Buffer {
  const request = { method, path: `/${Bucket}/${key}`, body };
  return requestBytes(request, signHeaders(request, alice, { service: 's3', payload: 'UNSIGNED-PAYLOAD' }));
}

/** Files that downloads hold open. */
const downloading = (): number => held().filter((path) => path.includes('/buckets/')).length;

/** Sends the bytes and goes away: at once, or when `until` is true and something was answered. */
async function leave(bytes: Buffer, until?: () => boolean): Promise<void> {
  const socket = connect(server.port, '127.0.0.1', () => socket.write(bytes, () => until ?? socket.destroy()));
  socket.on('error', () => {});
  if (until) {
    await once(socket, 'data');
    socket.pause();
    await expect.poll(until, { timeout: 5000 }).toBe(true);
    socket.resetAndDestroy();
  }
  await once(socket, 'close');
}

test('headers that an answer cannot have', async () => {
  for (const override of [{ ResponseContentType: 'ü' }, { ResponseCacheControl: '' }]) {
    await expect(s3.send(new GetObjectCommand({ Bucket, Key: 'small', ...override }))).rejects.toMatchObject({
      name: 'InvalidArgument',
    });
  }
  expect(held()).toEqual([]);
});

test('a client that has gone before its upload is read, or in the middle of it', async () => {
  const upload = bytesOf('PUT', 'new', 'x'.repeat(1000));
  for (let round = 0; round < 20; round++) {
    await leave(upload);
    await leave(upload.subarray(0, -500));
  }
  await expect.poll(held, { timeout: 5000 }).toEqual([]);
});

test('a client that has gone before its download is written', async () => {
  for (let round = 0; round < 20; round++) await leave(bytesOf('GET', 'small'));
  await expect.poll(held, { timeout: 5000 }).toEqual([]);
});

test('downloads that wait behind another one on a connection that ends', async () => {
  const downloads = Buffer.concat(Array.from({ length: 5 }, () => bytesOf('GET', 'large')));
  for (let round = 0; round < 5; round++) await leave(downloads, () => downloading() === 5);
  await expect.poll(held, { timeout: 5000 }).toEqual([]);
});
