// From the example project to a MicroVM image: bucket, upload, CreateMicrovmImage, and waiting for the build.

import { stripVTControlCharacters } from 'node:util';
import {
  CreateMicrovmImageCommand,
  GetMicrovmImageVersionCommand,
  ListManagedMicrovmImagesCommand,
  ListMicrovmImageBuildsCommand,
} from '@aws-sdk/client-lambda-microvms';
import { type BucketLocationConstraint, CreateBucketCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { Fault } from '../../src/lib/errors.ts';
import { buildLog } from './additions.ts';
import type { Target } from './target.ts';
import type { StageNotes } from './timeline.ts';
import { untilAnswer } from './waiting.ts';

export interface ImageVersion {
  imageArn: string;
  imageVersion: string;
}

const buildDeadlineMs = 10 * 60_000;
const buildPollMs = 250;
const hookPort = 9000;
const hookSeconds = 20;
const logTailLines = 30;

export async function upload(
  target: Target,
  to: { bucket: string; key: string; zip: Buffer },
  signal: AbortSignal,
): Promise<void> {
  // us-east-1 is the one region that must not be named.
  const constraint =
    target.region === 'us-east-1'
      ? {}
      : { CreateBucketConfiguration: { LocationConstraint: target.region as BucketLocationConstraint } };
  await target.s3.send(new CreateBucketCommand({ Bucket: to.bucket, ...constraint }), { abortSignal: signal });
  const put = new PutObjectCommand({ Bucket: to.bucket, Key: to.key, Body: to.zip, ContentType: 'application/zip' });
  await target.s3.send(put, { abortSignal: signal });
}

export async function createImage(
  target: Target,
  order: { name: string; uri: string },
  signal: AbortSignal,
): Promise<ImageVersion> {
  const bases = await target.microvms.send(new ListManagedMicrovmImagesCommand({}), { abortSignal: signal });
  const baseImageArn = bases.items?.[0]?.imageArn;
  if (!baseImageArn) throw new Fault('internal', { what: 'The service offers no managed base image.' });
  const command = new CreateMicrovmImageCommand({
    name: order.name,
    baseImageArn,
    buildRoleArn: 'arn:aws:iam::000000000000:role/waterbear-demo',
    codeArtifact: { uri: order.uri },
    resources: [{ minimumMemoryInMiB: 512 }],
    hooks: {
      port: hookPort,
      microvmImageHooks: { ready: 'ENABLED', readyTimeoutInSeconds: 300 },
      microvmHooks: {
        run: 'ENABLED',
        runTimeoutInSeconds: hookSeconds,
        resume: 'ENABLED',
        resumeTimeoutInSeconds: hookSeconds,
        suspend: 'ENABLED',
        suspendTimeoutInSeconds: hookSeconds,
        terminate: 'ENABLED',
        terminateTimeoutInSeconds: hookSeconds,
      },
    },
  });
  const { imageArn, imageVersion } = await target.microvms.send(command, { abortSignal: signal });
  if (!imageArn || !imageVersion) throw new Fault('internal', { what: 'CreateMicrovmImage answered without an ARN.' });
  return { imageArn, imageVersion };
}

/** Resolves when the version is SUCCESSFUL; otherwise rejects with the build's reason and the end of its log. */
export async function untilBuilt(
  target: Target,
  image: ImageVersion,
  notes: StageNotes,
  signal: AbortSignal,
): Promise<void> {
  const { imageArn: imageIdentifier, imageVersion } = image;
  const patience = { what: 'The build', deadlineMs: buildDeadlineMs, intervalMs: buildPollMs, signal };
  await untilAnswer(patience, async () => {
    const command = new GetMicrovmImageVersionCommand({ imageIdentifier, imageVersion });
    const { state } = await target.microvms.send(command, { abortSignal: signal });
    if (state === 'SUCCESSFUL') return true;
    if (state === 'FAILED') throw await buildFailure(target, image, signal);
    notes.progress(await lastLine(target, image, signal).catch(() => String(state)));
    return undefined;
  });
}

async function buildOf(target: Target, image: ImageVersion, signal: AbortSignal) {
  const { imageArn: imageIdentifier, imageVersion } = image;
  const command = new ListMicrovmImageBuildsCommand({ imageIdentifier, imageVersion });
  return (await target.microvms.send(command, { abortSignal: signal })).items?.[0];
}

async function lastLine(target: Target, image: ImageVersion, signal: AbortSignal): Promise<string> {
  const build = await buildOf(target, image, signal);
  const log = build?.buildId === undefined ? undefined : await buildLog(target, build.buildId);
  const line = log?.trimEnd().split('\n').at(-1) || String(build?.buildState);
  return printable(line);
}

async function buildFailure(target: Target, image: ImageVersion, signal: AbortSignal): Promise<Fault> {
  const build = await buildOf(target, image, signal).catch(() => undefined);
  const reason = build?.stateReason ?? 'no reason is given';
  // Waterbear's reason ends with the last output already; others keep it in the log.
  const buildId = reason.includes('\n') ? undefined : build?.buildId;
  const log = buildId === undefined ? undefined : await buildLog(target, buildId).catch(() => undefined);
  const tail = log === undefined ? [] : log.trimEnd().split('\n').slice(-logTailLines);
  const lines = [...reason.split('\n'), ...tail].map(printable);
  return new Fault('internal', { what: `The image could not be built: ${lines.join('\n')}` });
}

/** Output of a build is a stranger's: no control sequences reach the terminal. */
const printable = (line: string): string => stripVTControlCharacters(line).replace(/\p{Cc}/gu, ' ');
