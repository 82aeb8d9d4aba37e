// One script of acts against a whole server (fake driver, in this process) whose disk fails once, at the n-th operation of the script. Each act that fails must say so as an
// error of the server, must be possible when it is tried again, and must not have touched what was acknowledged before.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { GetMicrovmResponse } from '@aws-sdk/client-lambda-microvms';
import { expect } from 'vitest';
import { askServer } from '../../cli/server-api.ts';
import { readServerFile } from '../../cli/server-file.ts';
import { type FileOperation, setFileFaults } from '../../src/lib/disk-faults.ts';
import { poll, type TestServer } from './server.ts';

export interface OneFault {
  /** The operation of the script that fails, from 0. */
  at: number;
  code: 'EIO' | 'ENOSPC';
  partly: boolean;
}

export interface Played {
  operations: number;
  /** What failed: the operation and the end of its path. */
  failed: string | undefined;
  /** Acts that were answered with an error, or came to a bad end. */
  toldOf: string[];
}

const bucket = 'test-bucket';
const spec = {
  baseImageArn: 'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1',
  buildRoleArn: 'arn:aws:iam::000000000000:role/build',
  codeArtifact: { uri: `s3://${bucket}/demo.zip` },
  resources: [{ minimumMemoryInMiB: 512 }],
};

const idlePolicy = { maxIdleDurationSeconds: 3600, suspendedDurationSeconds: 3600, autoResumeEnabled: true };

/** `name`: of the image and the objects; no other script on this server has it. */
export async function playScript(server: TestServer, name: string, fault: OneFault | undefined): Promise<Played> {
  const played: Played = { operations: 0, failed: undefined, toldOf: [] };
  setFileFaults((operation: FileOperation, path: string) => {
    const n = played.operations++;
    if (n !== fault?.at) return undefined;
    played.failed = `${operation} ${path.split('/').slice(-2).join('/')}`;
    const { code, partly } = fault;
    return { error: Object.assign(new Error(`${code}: as a test wants it`), { code }), partly };
  });
  try {
    await script(server, name, played);
  } finally {
    setFileFaults(undefined);
  }
  return played;
}

async function script(server: TestServer, name: string, played: Played): Promise<void> {
  const { lambda, s3 } = server;

  /** Once more when the server says that it could not. */
  const act = async <T>(what: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      const { httpStatusCode = 0 } = (error as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {};
      expect([500, 507], `${what}: ${String(error)}`).toContain(httpStatusCode);
      played.toldOf.push(what);
      return work();
    }
  };
  /** Until it has come to rest as wished; what came to rest otherwise is asked for once more. */
  const settled = async <T>(
    what: string,
    ask: () => Promise<unknown>,
    look: () => Promise<T | 'failed' | undefined>,
  ): Promise<T> => {
    await act(what, ask);
    const first = await poll(what, look);
    if (first !== 'failed') return first as T;
    played.toldOf.push(what);
    await ask();
    const second = await poll(`${what}, once more`, look);
    expect(second, what).not.toBe('failed');
    return second as T;
  };
  const text = async (Key: string): Promise<string | undefined> =>
    (await s3.getObject({ Bucket: bucket, Key })).Body?.transformToString();

  await act('PutObject', () => s3.putObject({ Bucket: bucket, Key: name, Body: 'old' }));
  expect(await text(name)).toBe('old');
  await act('PutObject again', () => s3.putObject({ Bucket: bucket, Key: name, Body: 'new' })).finally(async () => {
    expect(await text(name)).toMatch(/^(old|new)$/);
  });
  await multipart(server, name, act);
  await act('CreateBucket', () => s3.createBucket({ Bucket: `${name}-bucket` }));

  const imageArn = await settled(
    'CreateMicrovmImage',
    async () => {
      const failed = await lambda
        .listMicrovmImages({ nameFilter: name })
        .then(({ items = [] }) => items.find((one) => one.name === name));
      if (failed) await lambda.updateMicrovmImage({ imageIdentifier: failed.imageArn, ...spec });
      else await lambda.createMicrovmImage({ name, ...spec });
    },
    async () => {
      const { items = [] } = await lambda.listMicrovmImages({ nameFilter: name });
      const image = items.find((one) => one.name === name);
      if (image?.state === 'CREATED' || image?.state === 'UPDATED') return image.imageArn ?? '';
      return image?.state?.endsWith('_FAILED') ? 'failed' : undefined;
    },
  );

  let microvmId = '';
  const state = async (): Promise<GetMicrovmResponse['state']> =>
    (await lambda.getMicrovm({ microvmIdentifier: microvmId })).state;
  const becomes = (wanted: string, otherwise: string) => async (): Promise<true | 'failed' | undefined> => {
    const now = await state();
    return now === wanted ? true : now === otherwise ? 'failed' : undefined;
  };
  let endpoint = '';
  await settled(
    'RunMicrovm',
    async () => {
      const started = await lambda.runMicrovm({ imageIdentifier: imageArn, idlePolicy });
      [microvmId, endpoint] = [started.microvmId ?? '', started.endpoint ?? ''];
    },
    becomes('RUNNING', 'TERMINATED'),
  );
  const token = await server.token(microvmId);
  /** It counts its requests: each that was answered is one more, whatever failed between. */
  let count = 0;
  const request = (): Promise<void> =>
    act('a request', async () => {
      const { status, body } = await server.get(endpoint, token);
      // A wake that fails is a 502, and the next request wakes anew.
      if (status === 502) throw Object.assign(new Error('502'), { $metadata: { httpStatusCode: 500 } });
      expect([status, body]).toEqual([200, `${++count}\n`]);
    });
  const suspend = (): Promise<true> =>
    settled(
      'SuspendMicrovm',
      () => lambda.suspendMicrovm({ microvmIdentifier: microvmId }),
      becomes('SUSPENDED', 'RUNNING'),
    );
  await request();
  for (let round = 0; round < 3; round++) {
    await suspend();
    await request();
  }
  await suspend();
  await settled(
    'ResumeMicrovm',
    () => lambda.resumeMicrovm({ microvmIdentifier: microvmId }),
    becomes('RUNNING', 'SUSPENDED'),
  );
  await request();
  await act('TagResource', () => lambda.tagResource({ Resource: imageArn, Tags: { name } }));
  await act('lease', () => extension(server, `microvms/${microvmId}/lease`, { seconds: 60 }));
  await act('rotate-keys', () => extension(server, 'tokens/rotate-keys', {}));
  await request();
  await act('revoke', () => extension(server, 'tokens/revoke', { microvmId }));
  expect((await server.get(endpoint, token)).status).toBe(403);
  await act('TerminateMicrovm', () => lambda.terminateMicrovm({ microvmIdentifier: microvmId }));
  await poll('the end of the MicroVM', async () => ((await state()) === 'TERMINATED' ? true : undefined));
  await settled(
    'DeleteMicrovmImage',
    () => lambda.deleteMicrovmImage({ imageIdentifier: imageArn }),
    () =>
      lambda.getMicrovmImage({ imageIdentifier: imageArn }).then(
        (image) => (image.state === 'DELETE_FAILED' ? ('failed' as const) : undefined),
        () => true as const,
      ),
  );
  expect(await text(name)).toBe('new');
  await act('DeleteObject', () => s3.deleteObject({ Bucket: bucket, Key: name }));
  await expect(text(name)).rejects.toMatchObject({ name: 'NoSuchKey' });
}

type Act = <T>(what: string, work: () => Promise<T>) => Promise<T>;

async function multipart({ s3 }: TestServer, name: string, act: Act): Promise<void> {
  const object = { Bucket: bucket, Key: `${name}-parts` };
  const { UploadId } = await act('CreateMultipartUpload', () => s3.createMultipartUpload(object));
  const part = { ...object, UploadId, PartNumber: 1 };
  const { ETag } = await act('UploadPart', () => s3.uploadPart({ ...part, Body: 'a part' }));
  const MultipartUpload = { Parts: [{ ETag, PartNumber: 1 }] };
  await act('CompleteMultipartUpload', () => s3.completeMultipartUpload({ ...object, UploadId, MultipartUpload }));
  expect(await (await s3.getObject(object)).Body?.transformToString()).toBe('a part');
  await act('DeleteObject of parts', () => s3.deleteObject(object));
}

async function extension(server: TestServer, path: string, body: object): Promise<void> {
  const facts = await readServerFile(server.data);
  await askServer(facts, `/waterbear/v1/${path}`, body, Date.now()).catch((error: unknown) => {
    throw Object.assign(new Error(String(error)), { $metadata: { httpStatusCode: 500 } });
  });
}

/** Files below the data directory that no script that has ended leaves: all but the database, keys, the bucket and what is in it. */
export async function leftovers(data: string): Promise<string[]> {
  const found = (await readdir(data, { recursive: true })).filter(
    (path) =>
      /^(archives|images|vms|logs|objects\/tmp|objects\/uploads)\/./.test(path) ||
      /\.(new|work)$/.test(path) ||
      /^objects\/buckets\/test-bucket\/objects\/..\/./.test(path),
  );
  return found.map((path) => join(path)).sort();
}
