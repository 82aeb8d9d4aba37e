// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
import type { ObjectInfo, ObjectStore } from '../../../contract/object-store.ts';
import { header, type Operation, type S3Answer, type S3Call } from '../call.ts';
import { isNotModified } from '../conditions.ts';
import { s3Fault } from '../error-table.ts';
import { objectHeaders } from '../metadata.ts';
import { parseRange } from '../range.ts';

const maxAttempts = 5;

export const getObject: Operation = {
  action: 's3:GetObject',
  async run(call) {
    const { bucket, key } = call.target;
    for (let attempt = 0; attempt < maxAttempts; attempt++) {
      const info = await call.deps.store.head(bucket, key);
      if (isNotModified(call, info)) return { status: 304, headers: { etag: info.etag } };
      const answer = await read(call, info);
      if (answer) return answer;
    }
    throw s3Fault('OperationAborted', 'The object is being overwritten too often to be read. Please try again.');
  },
};

/** Undefined when the object was overwritten since `info` was read, which the range was computed from. */
async function read(call: S3Call, info: ObjectInfo): Promise<S3Answer | undefined> {
  const { store } = call.deps;
  const range = parseRange(header(call, 'range'), info.bytes);
  // All that may refuse the request comes before the object is opened: who throws afterwards leaves it open.
  const headers = { ...objectHeaders(info), ...overrides(call) };
  const got: Awaited<ReturnType<ObjectStore['get']>> = await store.get(call.target.bucket, call.target.key, range);
  if (got.info.etag !== info.etag || got.info.bytes !== info.bytes) {
    got.body.destroy();
    return undefined;
  }
  const length = range ? range.end - range.start + 1 : info.bytes;
  const whole = { ...headers, 'content-length': String(length) };
  if (!range) return { status: 200, headers: whole, body: got.body };
  const contentRange = `bytes ${range.start}-${range.end}/${info.bytes}`;
  return { status: 206, headers: { ...whole, 'content-range': contentRange }, body: got.body };
}

/** Headers of the answer that a signed request may choose, as a presigned link for a download does. */
function overrides(call: S3Call): Record<string, string> {
  const chosen: Record<string, string> = {};
  for (const name of [
    'cache-control',
    'content-disposition',
    'content-encoding',
    'content-language',
    'content-type',
    'expires',
  ]) {
    const value = call.query.get(`response-${name}`);
    if (value === null) continue;
    if (!/^[\x20-\x7e\t]{1,1024}$/.test(value))
      throw s3Fault('InvalidArgument', `response-${name} is not a header value.`);
    chosen[name] = value;
  }
  return chosen;
}
