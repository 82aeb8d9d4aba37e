// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
import type { Operation } from '../call.ts';

// Existence and ownership were checked before; there is nothing left to find out.
export const headBucket: Operation = {
  action: 's3:ListBucket',
  async run({ deps }) {
    return { status: 200, headers: { 'x-amz-bucket-region': deps.region } };
  },
};
