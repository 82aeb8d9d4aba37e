// The handler around a store that fails: no internals in the answer, no broken object that looks whole, no crash.
import { createServer, type Server } from 'node:http';
import { Readable } from 'node:stream';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ObjectInfo, ObjectStore } from '../../contract/object-store.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLog } from '../../lib/log.ts';
import { createS3Handler } from './handler.ts';

const info: ObjectInfo = {
  key: 'k',
  bytes: 1_000_000,
  etag: '"e"',
  lastModifiedMs: 0,
  contentType: 'x/y',
  metadata: {},
};
const secret = new Error('the password of the database is 1234');
const fail = async (): Promise<never> => {
  throw secret;
};
// Every method a case does not replace fails in a way nobody foresaw.
const failing: ObjectStore = {
  createBucket: fail,
  listBuckets: fail,
  headBucket: async () => ({ owner: 'a' }),
  put: fail,
  head: async () => info,
  get: fail,
  delete: fail,
  list: fail,
  createUpload: fail,
  putPart: fail,
  completeUpload: fail,
  abortUpload: fail,
};

let store: ObjectStore;
let logged: string[];
let server: Server;
let s3: S3Client;
beforeEach(async () => {
  store = { ...failing };
  logged = [];
  const log = {
    ...silentLog,
    error: (event: string, facts?: object) => logged.push(`${event} ${JSON.stringify(facts)}`),
  };
  const handler = createS3Handler({
    store: new Proxy(failing, { get: (_, name) => Reflect.get(store, name) }),
    keys: () => ({ secret: 's', account: 'a' }),
    clock: systemClock,
    log,
    region: 'us-east-1',
  });
  server = createServer((message, response) => void handler(message, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const endpoint = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const credentials = { accessKeyId: 'k', secretAccessKey: 's' };
  s3 = new S3Client({ endpoint, region: 'us-east-1', credentials, forcePathStyle: true, maxAttempts: 1 });
});
afterEach(async () => {
  s3.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const input = { Bucket: 'bucket', Key: 'k' };

test('an unforeseen failure is an InternalError without details, logged with its request id', async () => {
  const error = await s3.send(new ListObjectsV2Command({ Bucket: 'bucket' })).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ name: 'InternalError', $metadata: { httpStatusCode: 500 } });
  expect(JSON.stringify(error)).not.toContain('password');
  expect(logged[0]).toContain('password');
  expect(logged[0]).toContain(Reflect.get(error as object, '$metadata').requestId);
});

test('a store that fails while the client is still sending', async () => {
  const put = new PutObjectCommand({ ...input, Body: Buffer.alloc(8 << 20) });
  await expect(s3.send(put)).rejects.toMatchObject({ name: 'InternalError' });
});

test('an object that breaks midway is a broken stream, never a short whole', async () => {
  const body = Readable.from(
    (async function* () {
      yield Buffer.alloc(1000);
      throw secret;
    })(),
  );
  store.get = async () => ({ info, body });
  const { Body } = await s3.send(new GetObjectCommand(input));
  await expect(Body?.transformToByteArray()).rejects.toThrow();
});

test('an object overwritten between looking and reading is read again', async () => {
  const newer = { ...info, etag: '"newer"', bytes: 3 };
  let looks = 0;
  store.head = async () => (looks++ === 0 ? info : newer);
  store.get = async () => ({ info: newer, body: Readable.from([Buffer.from('new')]) });
  const got = await s3.send(new GetObjectCommand(input));
  expect([got.ETag, await got.Body?.transformToString()]).toEqual(['"newer"', 'new']);
  store.head = async () => info;
  await expect(s3.send(new GetObjectCommand(input))).rejects.toMatchObject({ name: 'OperationAborted' });
});
