// Brings the zip of an image from the object store to a file of this host.
import { dirname } from 'node:path';
import type { BuildReasonCode } from '../contract/node-api.ts';
import { makeDirectory, remove, writeStream } from '../lib/durable-file.ts';
import { Fault, isFault } from '../lib/errors.ts';
import type { AppContext } from './context.ts';
import { parseS3Uri } from './image-spec.ts';

const refused = (reason: BuildReasonCode, what: string, cause?: unknown): Fault =>
  new Fault('build_failed', { reason, what }, cause);

/** Rejects with `build_failed` and the reason as the service names it. */
export async function fetchArchive(app: AppContext, account: string, uri: string, path: string): Promise<void> {
  const { bucket, key } = parseS3Uri(uri);
  try {
    const { owner } = await app.objects.headBucket(bucket);
    if (owner !== account) throw refused('S3_ACCESS_DENIED', `Bucket ${bucket} belongs to another account.`);
    await makeDirectory(dirname(path));
    // What an earlier attempt at this build, of a server that was killed, has left.
    await remove(path);
    const { info, body } = await app.objects.get(bucket, key);
    const limit = app.settings.maxArchiveBytes;
    if (info.bytes > limit) {
      body.destroy();
      throw refused('S3_INVALID_OBJECT', `${uri} has ${info.bytes} bytes; the limit is ${limit}.`);
    }
    // A copy for this build alone, and gone with it: a crash may lose it.
    const options = { maxBytes: limit, what: uri, sync: false, signal: app.closing };
    await writeStream(path, body, options);
  } catch (error) {
    throw explained(error, uri, bucket);
  }
}

function explained(error: unknown, uri: string, bucket: string): unknown {
  if (isFault(error, 'not_found')) {
    return error.facts.kind === 'bucket'
      ? refused('S3_NO_SUCH_BUCKET', `There is no bucket ${bucket}. Create it and upload the zip.`, error)
      : refused('S3_NO_SUCH_KEY', `There is no object ${uri}. Upload the zip first.`, error);
  }
  if (isFault(error, 'access_denied')) return refused('S3_ACCESS_DENIED', `${uri} may not be read.`, error);
  return error;
}
