// An S3 endpoint on a free loopback port with an empty store in a temporary directory, for the conformance tests.
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { S3Deps } from '../../src/api/s3/call.ts';
import { createS3Handler } from '../../src/api/s3/handler.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { Log } from '../../src/lib/log.ts';
import { openDirectoryStore } from '../../src/objects/directory-store.ts';

export const alice = { accessKeyId: 'AKIAALICE', secretAccessKey: 'alice-secret', account: '111111111111' };
export const bob = { accessKeyId: 'AKIABOB', secretAccessKey: 'bob-secret', account: '222222222222' };

export interface S3Server extends AsyncDisposable {
  endpoint: string;
  port: number;
  dir: string;
  /** Events the server logged as errors: a test expects none. */
  failures: string[];
  /** `x-amz-content-sha256` of every request, in order. */
  payloads: string[];
  client(config?: S3ClientConfig): S3Client;
}

export async function startS3Server(overrides: Partial<S3Deps> = {}): Promise<S3Server> {
  const dir = await mkdtemp(join(tmpdir(), 'waterbear-s3-'));
  const store = await openDirectoryStore({ dir: join(dir, 'objects'), clock: systemClock });
  const failures: string[] = [];
  const log: Log = {
    level: 'error',
    info() {},
    warn() {},
    error: (event, facts) => failures.push(`${event} ${JSON.stringify(facts)}`),
  };
  const keys = new Map(
    [alice, bob].map((who) => [who.accessKeyId, { secret: who.secretAccessKey, account: who.account }]),
  );
  const handler = createS3Handler({
    store,
    keys: (id) => keys.get(id),
    clock: systemClock,
    log,
    region: 'us-east-1',
    hostSuffixes: ['s3.localhost'],
    ...overrides,
  });
  const payloads: string[] = [];
  const server = createServer((message, response) => {
    payloads.push(String(message.headers['x-amz-content-sha256']));
    void handler(message, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const endpoint = `http://127.0.0.1:${address.port}`;
  return {
    endpoint,
    port: address.port,
    dir,
    failures,
    payloads,
    client: (config) =>
      new S3Client({
        endpoint,
        region: 'us-east-1',
        credentials: alice,
        forcePathStyle: true,
        maxAttempts: 1,
        ...config,
      }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(dir, { recursive: true, force: true });
    },
  };
}
