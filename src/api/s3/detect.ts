// Which bucket and key a request is about: path style (`/bucket/key`) or virtual-host style (`bucket.s3.localhost`).
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
import { isBucketName, maxKeyBytes } from '../../contract/object-store.ts';
import { decodeUri } from '../sigv4/uri.ts';
import { s3Fault } from './error-table.ts';

/** Empty strings where the request names none. */
export interface Target {
  bucket: string;
  key: string;
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** `host` is the Host header, `rawPath` the path as sent. */
export function detectTarget(host: string, rawPath: string, hostSuffixes: readonly string[]): Target {
  if (!rawPath.startsWith('/')) throw s3Fault('InvalidURI', "Couldn't parse the specified URI.");
  const path = rawPath.slice(1);
  const name = host.toLowerCase().replace(/:[0-9]*$/, '');
  for (const suffix of hostSuffixes) {
    if (name.endsWith(`.${suffix}`)) return check({ bucket: name.slice(0, -suffix.length - 1), key: decode(path) });
  }
  const slash = path.indexOf('/');
  const bucket = decode(slash < 0 ? path : path.slice(0, slash));
  return check({ bucket, key: slash < 0 ? '' : decode(path.slice(slash + 1)) });
}

function decode(text: string): string {
  try {
    return utf8.decode(decodeUri(text));
  } catch {
    throw s3Fault('InvalidURI', "Couldn't parse the specified URI.");
  }
}

function check(target: Target): Target {
  if (target.bucket === '' && target.key !== '') throw s3Fault('InvalidBucketName', 'The bucket name is empty.');
  if (target.bucket !== '' && !isBucketName(target.bucket)) {
    throw s3Fault('InvalidBucketName', 'The specified bucket is not valid.');
  }
  if (Buffer.byteLength(target.key) > maxKeyBytes) throw s3Fault('KeyTooLongError', 'Your key is too long.');
  return target;
}
