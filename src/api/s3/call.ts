// What every S3 operation is given and what it gives back.
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { ObjectStore } from '../../contract/object-store.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { Payload } from '../sigv4/payload.ts';
import type { KeyLookup } from '../sigv4/verify.ts';
import type { Target } from './detect.ts';

export interface AccessRequest {
  account: string;
  accessKeyId: string;
  /** IAM action, e.g. `s3:GetObject`. */
  action: string;
  /** `arn:aws:s3:::bucket/key`, `arn:aws:s3:::bucket` or `*`. */
  resource: string;
}

export interface S3Deps {
  store: ObjectStore;
  keys: KeyLookup;
  clock: Clock;
  log: Log;
  /** Where the buckets are; requests have to be signed for it. */
  region: string;
  /** Hosts under which `bucket.<suffix>` names a bucket, without port, e.g. `s3.localhost`. */
  hostSuffixes?: readonly string[];
  /** Asked after the ownership of the bucket was checked. Without it an account may do everything with its buckets. */
  mayAccess?: (request: AccessRequest) => boolean | Promise<boolean>;
  /** Largest body of one request. Default 5 GiB. */
  maxBodyBytes?: number;
  /** A connection without a byte in either direction for this long is cut. Default 2 minutes. */
  idleMs?: number;
}

export interface S3Call {
  deps: S3Deps;
  message: IncomingMessage;
  query: URLSearchParams;
  target: Target;
  account: string;
  accessKeyId: string;
  payload: Payload;
}

export interface S3Answer {
  status: number;
  headers?: Readonly<Record<string, string>>;
  /** A whole document. */
  xml?: string;
  /** The bytes of an object; the answer owns the stream. */
  body?: Readable;
}

export interface Operation {
  /** IAM action that allows it; left out where the operation asks for each object itself. */
  action?: string;
  run(call: S3Call): Promise<S3Answer>;
}

/** A request header's value; undefined when there is none. */
export function header(call: S3Call, name: string): string | undefined {
  const value = call.message.headers[name];
  return Array.isArray(value) ? value.join(',') : value;
}
