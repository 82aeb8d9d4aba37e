// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
import { z } from 'zod';
import { readText } from '../body.ts';
import type { Operation } from '../call.ts';
import { refuseConditionalWrite } from '../conditions.ts';
import { readXml, xmlList, xmlText } from '../xml-read.ts';
import { xmlDocument } from '../xml-write.ts';

const body = z.object({
  CompleteMultipartUpload: z.object({
    Part: xmlList(
      z.object({
        PartNumber: xmlText.pipe(z.string().regex(/^\s*[0-9]{1,5}\s*$/)).transform(Number),
        ETag: xmlText,
      }),
    ),
  }),
});

export const completeMultipartUpload: Operation = {
  action: 's3:PutObject',
  async run(call) {
    refuseConditionalWrite(call);
    const { bucket, key } = call.target;
    const { Part: named } = readXml(await readText(call), body).CompleteMultipartUpload;
    const parts = named.map(({ PartNumber: part, ETag: etag }) => ({ part, etag: etag.trim() }));
    const info = await call.deps.store.completeUpload(bucket, key, call.query.get('uploadId') ?? '', parts);
    const xml = xmlDocument('CompleteMultipartUploadResult', [
      ['Location', `/${bucket}/${key}`],
      ['Bucket', bucket],
      ['Key', key],
      ['ETag', info.etag],
    ]);
    return { status: 200, xml };
  },
};
