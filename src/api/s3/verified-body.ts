// Passes bytes on while counting and digesting them, and fails at the end when a promised digest is not met.
import { Transform, type TransformCallback } from 'node:stream';
import { Fault } from '../../lib/errors.ts';
import { type Checksum, type ChecksumName, createChecksum } from '../sigv4/checksum.ts';
import { type S3ErrorCode, s3Fault } from './error-table.ts';

export interface ExpectedDigest {
  algorithm: ChecksumName | 'md5';
  base64: string;
  s3Error: S3ErrorCode;
}

export class VerifiedBody extends Transform {
  readonly #running: { expected: ExpectedDigest; checksum: Checksum }[];
  #leftBytes: number;
  readonly #limit: string;

  constructor(expected: readonly ExpectedDigest[], maxBytes: number) {
    super();
    this.#running = expected.map((each) => ({ expected: each, checksum: createChecksum(each.algorithm) }));
    this.#leftBytes = maxBytes;
    this.#limit = `${maxBytes} bytes`;
  }

  override _transform(data: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.#leftBytes -= data.length;
    if (this.#leftBytes < 0) {
      done(new Fault('too_large', { what: 'The body of the request', limit: this.#limit }));
      return;
    }
    for (const { checksum } of this.#running) checksum.update(data);
    done(null, data);
  }

  override _flush(done: TransformCallback): void {
    const wrong = this.#running.find(({ expected, checksum }) => checksum.base64() !== expected.base64);
    done(wrong ? mismatch(wrong.expected) : null);
  }
}

const mismatch = ({ algorithm, s3Error }: ExpectedDigest): Fault =>
  s3Fault(s3Error, `The ${algorithm.toUpperCase()} you specified did not match the body that was received.`);
