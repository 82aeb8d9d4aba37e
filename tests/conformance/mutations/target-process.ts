// The server that is sent mutants, as a process of its own: what it keeps is not mixed with what the test keeps. Wants --expose-gc.

import { readdirSync } from 'node:fs';
import { signedFetch } from '../../fake/signed-fetch.ts';
import type { Names } from '../../support/mutants/plain-requests.ts';
import type { S3Names } from '../../support/mutants/s3-requests.ts';
import { startTestServer } from '../../support/server.ts';
import type { Credentials } from '../../support/signed-request.ts';
import { zipOf } from '../../support/zip.ts';
import { coreRequest, goodCalls } from '../report/core-cases.ts';

/** The first message of the process. */
export interface Ready {
  port: number;
  credentials: Credentials;
  names: Names;
  s3Names: S3Names;
}

/** The answer to each message to the process. */
export interface Health {
  /** After a collection of garbage: the heap, and buffers outside of it. */
  keptBytes: number;
  unhandled: string[];
  /** What Node warns of, such as files that nobody closed. */
  warnings: string[];
  openFiles: number;
  microvms: number;
}

const unhandled: string[] = [];
process.on('unhandledRejection', (reason) => unhandled.push(String(reason)));

const server = await startTestServer({ driver: 'fake' });
const { apiUrl: url, credentials } = server.server;
const { imageArn } = await server.build('app', zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]));
const { id: microvmId } = await server.run(imageArn);
const builds = await server.lambda.listMicrovmImageBuilds({ imageIdentifier: imageArn, imageVersion: '1.0' });
const [operation, inputOf] = goodCalls[0] ?? [];
if (!operation || !inputOf) throw new Error('There is no call that creates a connector.');
const { path, ...how } = coreRequest(operation, inputOf('tagged'));
const connector = (await (await signedFetch({ url, credentials }, path, how)).json()) as { Arn: string };
const [bucket, key] = ['mutants', 'key'];
await server.s3.createBucket({ Bucket: bucket });
await server.s3.putObject({ Bucket: bucket, Key: key, Body: 'original content' });
const upload = await server.s3.createMultipartUpload({ Bucket: bucket, Key: key });

const warnings: string[] = [];
process.on('warning', (warning) => warnings.push(String(warning)));
process.on('message', async () => {
  globalThis.gc?.();
  // What the collection has to say, it says a little later.
  await new Promise((resolve) => setImmediate(resolve));
  const { heapUsed, external } = process.memoryUsage();
  const microvms = (await server.lambda.listMicrovms({})).items?.length ?? 0;
  const openFiles = readdirSync('/proc/self/fd').length;
  process.send?.({ keptBytes: heapUsed + external, unhandled, warnings, openFiles, microvms } satisfies Health);
});
process.on('disconnect', () => void server.close());
process.send?.({
  port: Number(new URL(url).port),
  credentials,
  names: { imageArn, microvmId, buildId: builds.items?.[0]?.buildId ?? '', connectorArn: connector.Arn },
  s3Names: { bucket, key, uploadId: upload.UploadId ?? '' },
} satisfies Ready);
