// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLocation.html
import type { Operation } from '../call.ts';
import { xmlDocument } from '../xml-write.ts';

export const getBucketLocation: Operation = {
  action: 's3:GetBucketLocation',
  async run({ deps }) {
    // The first region has no location constraint.
    return { status: 200, xml: xmlDocument('LocationConstraint', deps.region === 'us-east-1' ? '' : deps.region) };
  },
};
