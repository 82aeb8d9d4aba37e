// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
import { z } from 'zod';
import { isFault } from '../../../lib/errors.ts';
import { readText } from '../body.ts';
import type { Operation } from '../call.ts';
import { s3Fault } from '../error-table.ts';
import { readXml, xmlText } from '../xml-read.ts';

const body = z.object({
  CreateBucketConfiguration: z.union([z.object({ LocationConstraint: xmlText.optional() }), xmlText]),
});

export const createBucket: Operation = {
  action: 's3:CreateBucket',
  async run(call) {
    const { store, region } = call.deps;
    const { bucket } = call.target;
    const asked = location(await readText(call));
    if (asked !== undefined && asked !== region) {
      throw s3Fault('IllegalLocationConstraintException', `Buckets can only be created in the region ${region}.`);
    }
    try {
      await store.createBucket(bucket, call.account);
    } catch (error) {
      if (!isFault(error, 'conflict') || (await store.headBucket(bucket)).owner !== call.account) throw error;
      throw s3Fault(
        'BucketAlreadyOwnedByYou',
        'Your previous request to create the named bucket succeeded and you already own it.',
      );
    }
    return { status: 200, headers: { location: `/${bucket}` } };
  },
};

function location(xml: string): string | undefined {
  if (xml.trim() === '') return undefined;
  const { CreateBucketConfiguration: configuration } = readXml(xml, body);
  return typeof configuration === 'string' ? undefined : configuration.LocationConstraint;
}
