// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
import type { Operation } from '../call.ts';

export const abortMultipartUpload: Operation = {
  action: 's3:AbortMultipartUpload',
  async run(call) {
    await call.deps.store.abortUpload(call.target.bucket, call.target.key, call.query.get('uploadId') ?? '');
    return { status: 204 };
  },
};
