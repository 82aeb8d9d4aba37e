// The chain of chunk signatures: each covers its chunk and the signature before it, the first one the request's.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html#sigv4-chunked-body-definition
import { createHash, type Hash } from 'node:crypto';
import type { ChunkSigning } from './payload.ts';
import { refuse } from './refusal.ts';
import { equalSecrets, sha256Hex, sign } from './signing-key.ts';

const emptyHash = sha256Hex('');

export class ChunkChain {
  readonly #signing: ChunkSigning;
  #previous: string;
  #claimed = '';
  #hash: Hash = createHash('sha256');

  constructor(signing: ChunkSigning) {
    this.#signing = signing;
    this.#previous = signing.seedSignature;
  }

  startChunk(signature: string | undefined): void {
    if (signature === undefined) throw refuse('signature', 'A chunk of the body is not signed.');
    this.#claimed = signature;
    this.#hash = createHash('sha256');
  }

  update(data: Uint8Array): void {
    this.#hash.update(data);
  }

  endChunk(): void {
    this.#accept('AWS4-HMAC-SHA256-PAYLOAD', this.#claimed, emptyHash, this.#hash.digest('hex'));
  }

  /** `lines` are the trailing headers as `name:value`. */
  checkTrailer(lines: readonly string[], signature: string | undefined): void {
    if (signature === undefined) throw refuse('signature', 'The trailer of the body is not signed.');
    const canonical = lines.map((line) => `${line}\n`).join('');
    this.#accept('AWS4-HMAC-SHA256-TRAILER', signature, sha256Hex(canonical));
  }

  #accept(algorithm: string, claimed: string, ...hashes: string[]): void {
    const { key, amzDate, scope } = this.#signing;
    const expected = sign(key, algorithm, amzDate, scope, this.#previous, ...hashes);
    if (!equalSecrets(expected, claimed)) throw refuse('signature', 'A chunk signature of the body does not match.');
    this.#previous = expected;
  }
}
