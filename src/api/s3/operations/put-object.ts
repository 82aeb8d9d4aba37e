// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
import { openBody } from '../body.ts';
import type { Operation } from '../call.ts';
import { refuseConditionalWrite } from '../conditions.ts';
import { readMetadata } from '../metadata.ts';

export const putObject: Operation = {
  action: 's3:PutObject',
  async run(call) {
    refuseConditionalWrite(call);
    const meta = readMetadata(call);
    const info = await call.deps.store.put(call.target.bucket, call.target.key, openBody(call), meta);
    return { status: 200, headers: { etag: info.etag } };
  },
};
