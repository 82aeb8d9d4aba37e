// The body of a request as the bytes the client meant: framing removed, length limited, hashes and checksums verified at its end.
import type { IncomingMessage } from 'node:http';
import { pipeline, type Readable } from 'node:stream';
import { type ChecksumName, checksumNames } from '../sigv4/checksum.ts';
import { ChunkedBody } from '../sigv4/chunked-body.ts';
import type { ChunkSigning } from '../sigv4/payload.ts';
import { announcedTrailers } from '../sigv4/trailer.ts';
import { header, type S3Call } from './call.ts';
import { s3Fault } from './error-table.ts';
import { type ExpectedDigest, VerifiedBody } from './verified-body.ts';
import { malformedXml, maxXmlBytes } from './xml-read.ts';

const defaultMaxBytes = 5 * 1024 ** 3;

/** A stream that fails when the body is not what the request's headers promise. */
export function openBody(call: S3Call, limitBytes?: number): Readable {
  const maxBytes = limitBytes ?? call.deps.maxBodyBytes ?? defaultMaxBytes;
  const declared = declaredBytes(call);
  if (declared !== undefined && declared > maxBytes) {
    throw s3Fault('EntityTooLarge', `Your proposed upload exceeds the maximum allowed size of ${maxBytes} bytes.`);
  }
  const verified = new VerifiedBody(expectedDigests(call), maxBytes);
  const { payload, message } = call;
  if (payload.kind !== 'chunked') return connect(message, verified);
  return connect(message, createDecoder(call, payload, declared), verified);
}

/** A small XML body as text. */
export async function readText(call: S3Call): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of openBody(call, maxXmlBytes)) pieces.push(piece);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(pieces));
  } catch (cause) {
    throw malformedXml(cause);
  }
}

// A failure ends all streams; the last one carries it to whoever reads. The request itself stays usable for the answer.
function connect(message: IncomingMessage, ...steps: [VerifiedBody] | [ChunkedBody, VerifiedBody]): Readable {
  const first = steps[0];
  const last = steps[1] ?? steps[0];
  // A short bad body may fail before its reader is attached; the reader then finds the error in the stream.
  last.on('error', () => {});
  // Also one that came whole is lost when its connection ends before it was read, and says nothing more if that was before now.
  const onEnd = (): void => {
    if (!message.readableEnded) last.destroy(s3Fault('IncompleteBody', 'The connection ended before the body did.'));
  };
  if (message.destroyed) onEnd();
  message.once('error', onEnd).once('close', onEnd);
  if (first !== last && last instanceof VerifiedBody) pipeline(first, last, () => {});
  message.pipe(first);
  return last;
}

function createDecoder(
  call: S3Call,
  payload: { hasTrailer: boolean; signing?: ChunkSigning },
  decodedBytes: number | undefined,
): ChunkedBody {
  const trailers: ChecksumName[] = payload.hasTrailer ? announcedTrailers(header(call, 'x-amz-trailer')) : [];
  return new ChunkedBody({ ...payload, trailers, ...(decodedBytes === undefined ? {} : { decodedBytes }) });
}

function declaredBytes(call: S3Call): number | undefined {
  const name = call.payload.kind === 'chunked' ? 'x-amz-decoded-content-length' : 'content-length';
  const value = header(call, name);
  if (value === undefined) return undefined;
  if (!/^[0-9]{1,15}$/.test(value)) throw s3Fault('InvalidArgument', `The header ${name} is not a length.`);
  return Number(value);
}

function expectedDigests(call: S3Call): ExpectedDigest[] {
  const expected: ExpectedDigest[] = [];
  if (call.payload.kind === 'hash') {
    const base64 = Buffer.from(call.payload.sha256, 'hex').toString('base64');
    expected.push({ algorithm: 'sha256', base64, s3Error: 'XAmzContentSHA256Mismatch' });
  }
  const md5 = header(call, 'content-md5');
  if (md5 !== undefined) expected.push({ algorithm: 'md5', base64: digestOf(md5, 16), s3Error: 'BadDigest' });
  for (const algorithm of checksumNames) {
    const value = header(call, `x-amz-checksum-${algorithm}`);
    if (value === undefined) continue;
    expected.push({ algorithm, base64: digestOf(value, digestBytes[algorithm]), s3Error: 'BadDigest' });
  }
  return expected;
}

const digestBytes: Record<ChecksumName, number> = { crc32: 4, crc32c: 4, crc64nvme: 8, sha1: 20, sha256: 32 };

function digestOf(base64: string, bytes: number): string {
  const decoded = Buffer.from(base64, 'base64');
  if (decoded.length === bytes && decoded.toString('base64') === base64) return base64;
  throw s3Fault('InvalidDigest', 'A digest header of the request is not valid.');
}
