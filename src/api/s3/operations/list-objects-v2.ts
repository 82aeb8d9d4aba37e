// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
import type { Operation } from '../call.ts';
import { s3Fault } from '../error-table.ts';
import { pageElements, readListParameters } from '../listing.ts';
import { type XmlElement, xmlDocument } from '../xml-write.ts';

export const listObjectsV2: Operation = {
  action: 's3:ListBucket',
  async run(call) {
    const { query } = call;
    if (query.get('list-type') !== '2') throw s3Fault('InvalidArgument', "list-type can only be '2'.");
    const { prefix, delimiter, maxKeys, encode, echo } = readListParameters(call);
    const token = query.get('continuation-token');
    const startAfter = query.get('start-after');
    const after = token === null ? (startAfter ?? '') : readToken(token);
    const page = await call.deps.store.list(call.target.bucket, { prefix, delimiter, after, limit: maxKeys });
    const owner = query.get('fetch-owner') === 'true' ? call.account : undefined;
    const elements: XmlElement[] = [
      ...echo,
      ['KeyCount', page.objects.length + page.commonPrefixes.length],
      ['IsTruncated', page.next !== undefined],
      ...(token === null ? [] : [['ContinuationToken', token] as const]),
      ...(page.next === undefined ? [] : [['NextContinuationToken', writeToken(page.next)] as const]),
      ...(startAfter === null ? [] : [['StartAfter', encode(startAfter)] as const]),
      ...pageElements(page, encode, owner),
    ];
    return { status: 200, xml: xmlDocument('ListBucketResult', elements) };
  },
};

// Opaque to clients; base64url keeps any key safe in XML and URLs.
const writeToken = (key: string): string => `1${Buffer.from(key, 'utf8').toString('base64url')}`;

function readToken(token: string): string {
  if (!/^1[A-Za-z0-9_-]{1,1400}$/.test(token)) {
    throw s3Fault('InvalidArgument', 'The continuation token provided is incorrect');
  }
  return Buffer.from(token.slice(1), 'base64url').toString('utf8');
}
