// What a demo leaves in the service, and removing it again: after success, failure and Ctrl-C alike.
import {
  DeleteMicrovmImageCommand,
  paginateListMicrovms,
  TerminateMicrovmCommand,
} from '@aws-sdk/client-lambda-microvms';
import { DeleteBucketCommand, DeleteObjectCommand } from '@aws-sdk/client-s3';
import { untilState } from './microvm.ts';
import type { Target } from './target.ts';

export interface Traces {
  /** Makes names unique. */
  suffix: string;
  imageArn?: string;
  artifact?: { bucket: string; key: string };
}

/** Terminates every MicroVM of the image, also one whose launch was interrupted, and waits until they are gone. */
export async function terminateAll(target: Target, traces: Traces, signal: AbortSignal): Promise<void> {
  const { imageArn: imageIdentifier } = traces;
  if (imageIdentifier === undefined) return;
  const pages = paginateListMicrovms({ client: target.microvms }, { imageIdentifier }, { abortSignal: signal });
  const living: string[] = [];
  for await (const { items } of pages) {
    for (const { microvmId, state } of items ?? []) if (microvmId && state !== 'TERMINATED') living.push(microvmId);
  }
  const ends = living.map(async (microvmId) => {
    const command = new TerminateMicrovmCommand({ microvmIdentifier: microvmId });
    await target.microvms.send(command, { abortSignal: signal });
    await untilState(target, { microvmId }, 'TERMINATED', signal);
  });
  // One that fails must not keep the others alive.
  const failed = (await Promise.allSettled(ends)).find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
}

/** Removes image, upload and bucket; resolves with what could not be removed. */
export async function removeArtifacts(target: Target, traces: Traces, signal: AbortSignal): Promise<string[]> {
  const left: string[] = [];
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch(() => left.push(what));
  };
  const options = { abortSignal: signal };
  const { imageArn: imageIdentifier, artifact } = traces;
  if (imageIdentifier !== undefined) {
    await attempt(imageIdentifier, () =>
      target.microvms.send(new DeleteMicrovmImageCommand({ imageIdentifier }), options),
    );
  }
  if (artifact) {
    const { bucket: Bucket, key: Key } = artifact;
    await attempt(`s3://${Bucket}/${Key}`, () => target.s3.send(new DeleteObjectCommand({ Bucket, Key }), options));
    await attempt(`s3://${Bucket}`, () => target.s3.send(new DeleteBucketCommand({ Bucket }), options));
  }
  return left;
}
