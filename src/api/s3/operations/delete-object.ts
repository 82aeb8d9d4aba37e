// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
import type { Operation } from '../call.ts';
import { refuseConditionalWrite } from '../conditions.ts';

export const deleteObject: Operation = {
  action: 's3:DeleteObject',
  async run(call) {
    refuseConditionalWrite(call);
    await call.deps.store.delete(call.target.bucket, call.target.key);
    return { status: 204 };
  },
};
