// Takes the aws-chunked framing off a body, checking chunk signatures, trailer and decoded length as the bytes pass.
// Bytes go on before their chunk is proved; a consumer commits only when the stream ends without an error.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
import { Transform, type TransformCallback } from 'node:stream';
import { Fault } from '../../lib/errors.ts';
import type { ChecksumName } from './checksum.ts';
import { ChunkChain } from './chunk-chain.ts';
import type { ChunkSigning } from './payload.ts';
import { TrailerCheck } from './trailer.ts';

const maxLineBytes = 1024;
const maxTrailerLines = 16;

export interface ChunkedBodyOptions {
  signing?: ChunkSigning;
  hasTrailer: boolean;
  /** Checksums the `x-amz-trailer` header announced. */
  trailers: readonly ChecksumName[];
  /** `x-amz-decoded-content-length`. */
  decodedBytes?: number;
}

type State = 'head' | 'data' | 'after-data' | 'trailer' | 'end';

const malformed = (what: string): Fault => new Fault('invalid_input', { what, s3Error: 'InvalidRequest' });
const incomplete = (what: string): Fault => new Fault('invalid_input', { what, s3Error: 'IncompleteBody' });

export class ChunkedBody extends Transform {
  readonly #options: ChunkedBodyOptions;
  readonly #chain: ChunkChain | undefined;
  readonly #trailer: TrailerCheck;
  #state: State = 'head';
  #line = '';
  #chunkLeft = 0;
  #decoded = 0;
  #trailerLines: string[] = [];

  constructor(options: ChunkedBodyOptions) {
    super();
    this.#options = options;
    this.#chain = options.signing ? new ChunkChain(options.signing) : undefined;
    this.#trailer = new TrailerCheck(options.trailers);
  }

  override _transform(data: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      let offset = 0;
      while (offset < data.length) {
        offset = this.#state === 'data' ? this.#takeData(data, offset) : this.#takeLine(data, offset);
      }
      done();
    } catch (error) {
      done(error instanceof Error ? error : malformed('The chunked body is malformed.'));
    }
  }

  override _flush(done: TransformCallback): void {
    done(this.#state === 'end' ? null : incomplete('The chunked body ended before its last chunk.'));
  }

  #takeData(data: Buffer, offset: number): number {
    const piece = data.subarray(offset, offset + this.#chunkLeft);
    this.#chunkLeft -= piece.length;
    this.#chain?.update(piece);
    this.#trailer.update(piece);
    this.push(piece);
    if (this.#chunkLeft === 0) {
      this.#chain?.endChunk();
      this.#state = 'after-data';
    }
    return offset + piece.length;
  }

  /** Collects up to the next line feed; lines may be split anywhere between two reads. */
  #takeLine(data: Buffer, offset: number): number {
    if (this.#state === 'end') throw malformed('There are bytes after the end of the chunked body.');
    const feed = data.indexOf(0x0a, offset);
    const end = feed < 0 ? data.length : feed;
    this.#line += data.toString('latin1', offset, end);
    if (this.#line.length > maxLineBytes) throw malformed('A line of the chunked body is too long.');
    if (feed >= 0) {
      const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line;
      this.#line = '';
      this.#readLine(line);
    }
    return end + 1;
  }

  #readLine(line: string): void {
    if (this.#state === 'head') this.#readHead(line);
    else if (this.#state === 'after-data') {
      if (line !== '') throw malformed('A chunk is longer than it says.');
      this.#state = 'head';
    } else if (line === '') this.#finish();
    else if (this.#trailerLines.push(line) > maxTrailerLines) throw malformed('The trailer has too many lines.');
  }

  #readHead(line: string): void {
    const match = /^([0-9a-fA-F]{1,10})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(line);
    if (!match) throw malformed('A chunk header is malformed.');
    const bytes = Number.parseInt(match[1] ?? '', 16);
    this.#chain?.startChunk(match[2]);
    this.#decoded += bytes;
    if (this.#decoded > (this.#options.decodedBytes ?? Number.MAX_SAFE_INTEGER)) {
      throw malformed('The body is longer than x-amz-decoded-content-length.');
    }
    this.#chunkLeft = bytes;
    this.#state = bytes > 0 ? 'data' : 'trailer';
    if (bytes === 0) this.#chain?.endChunk();
  }

  #finish(): void {
    const { decodedBytes, hasTrailer } = this.#options;
    if (decodedBytes !== undefined && this.#decoded !== decodedBytes) {
      throw incomplete('The body is shorter than x-amz-decoded-content-length.');
    }
    if (!hasTrailer && this.#trailerLines.length > 0) throw malformed('The chunked body has an unannounced trailer.');
    if (hasTrailer) this.#trailer.check(this.#trailerLines, this.#chain);
    this.#state = 'end';
  }
}
