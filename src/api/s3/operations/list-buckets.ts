// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBuckets.html
import type { Operation } from '../call.ts';
import { xmlDocument } from '../xml-write.ts';

export const listBuckets: Operation = {
  action: 's3:ListAllMyBuckets',
  async run({ deps, account }) {
    const buckets = await deps.store.listBuckets(account);
    const xml = xmlDocument('ListAllMyBucketsResult', [
      ['Owner', [['ID', account]]],
      [
        'Buckets',
        buckets.map(({ bucket, createdMs }) => [
          'Bucket',
          [
            ['Name', bucket],
            ['CreationDate', new Date(createdMs).toISOString()],
          ],
        ]),
      ],
    ]);
    return { status: 200, xml };
  },
};
