// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
import type { Operation } from '../call.ts';
import { readMetadata } from '../metadata.ts';
import { xmlDocument } from '../xml-write.ts';

export const createMultipartUpload: Operation = {
  action: 's3:PutObject',
  async run(call) {
    const { bucket, key } = call.target;
    const uploadId = await call.deps.store.createUpload(bucket, key, readMetadata(call));
    const xml = xmlDocument('InitiateMultipartUploadResult', [
      ['Bucket', bucket],
      ['Key', key],
      ['UploadId', uploadId],
    ]);
    return { status: 200, xml };
  },
};
