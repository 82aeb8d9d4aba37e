// What both object listings share: parameters, limits, and the elements of a page.
import type { ObjectPage } from '../../contract/object-store.ts';
import { encodeUri } from '../sigv4/uri.ts';
import type { S3Call } from './call.ts';
import { s3Fault } from './error-table.ts';
import type { XmlElement } from './xml-write.ts';

const maxKeysLimit = 1000;

export interface ListParameters {
  prefix: string;
  delimiter: string;
  maxKeys: number;
  /** Encodes keys as the client asked for: XML cannot carry every character. */
  encode: (key: string) => string;
  echo: XmlElement[];
}

export function readListParameters(call: S3Call): ListParameters {
  const { query } = call;
  const maxKeysText = query.get('max-keys') ?? String(maxKeysLimit);
  if (!/^[0-9]{1,10}$/.test(maxKeysText)) throw s3Fault('InvalidArgument', 'max-keys is not a whole number.');
  const encoding = query.get('encoding-type');
  if (encoding !== null && encoding !== 'url') throw s3Fault('InvalidArgument', "encoding-type can only be 'url'.");
  const maxKeys = Math.min(Number(maxKeysText), maxKeysLimit);
  const encode = encoding === 'url' ? (key: string) => encodeUri(key, true) : (key: string) => key;
  const [prefix, delimiter] = [query.get('prefix') ?? '', query.get('delimiter') ?? ''];
  const echo: XmlElement[] = [
    ['Name', call.target.bucket],
    ['Prefix', encode(prefix)],
    ['MaxKeys', maxKeys],
    ...(delimiter === '' ? [] : [['Delimiter', encode(delimiter)] as const]),
    ...(encoding === 'url' ? [['EncodingType', 'url'] as const] : []),
  ];
  return { prefix, delimiter, maxKeys, encode, echo };
}

export function pageElements(page: ObjectPage, encode: (key: string) => string, owner?: string): XmlElement[] {
  return [
    ...page.objects.map(
      (info): XmlElement => [
        'Contents',
        [
          ['Key', encode(info.key)],
          ['LastModified', new Date(info.lastModifiedMs).toISOString()],
          ['ETag', info.etag],
          ['Size', info.bytes],
          ['StorageClass', 'STANDARD'],
          ...(owner === undefined ? [] : [['Owner', [['ID', owner]]] as const]),
        ],
      ],
    ),
    ...page.commonPrefixes.map((prefix): XmlElement => ['CommonPrefixes', [['Prefix', encode(prefix)]]]),
  ];
}
