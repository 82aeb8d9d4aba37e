// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
import type { Operation } from '../call.ts';
import { pageElements, readListParameters } from '../listing.ts';
import { type XmlElement, xmlDocument } from '../xml-write.ts';

export const listObjects: Operation = {
  action: 's3:ListBucket',
  async run(call) {
    const { prefix, delimiter, maxKeys, encode, echo } = readListParameters(call);
    const after = call.query.get('marker') ?? '';
    const page = await call.deps.store.list(call.target.bucket, { prefix, delimiter, after, limit: maxKeys });
    const elements: XmlElement[] = [
      ...echo,
      ['Marker', encode(after)],
      ['IsTruncated', page.next !== undefined],
      ...(page.next === undefined ? [] : [['NextMarker', encode(page.next)] as const]),
      ...pageElements(page, encode, call.account),
    ];
    return { status: 200, xml: xmlDocument('ListBucketResult', elements) };
  },
};
