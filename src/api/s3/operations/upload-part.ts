// https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
import { openBody } from '../body.ts';
import type { Operation } from '../call.ts';
import { s3Fault } from '../error-table.ts';

export const uploadPart: Operation = {
  action: 's3:PutObject',
  async run(call) {
    const { bucket, key } = call.target;
    const text = call.query.get('partNumber') ?? '';
    if (!/^[0-9]{1,5}$/.test(text)) throw s3Fault('InvalidArgument', 'Part number must be an integer.');
    const uploadId = call.query.get('uploadId') ?? '';
    const { etag } = await call.deps.store.putPart(bucket, key, uploadId, Number(text), openBody(call));
    return { status: 200, headers: { etag } };
  },
};
