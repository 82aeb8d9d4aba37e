// The trailer of an aws-chunked body: checksums over the decoded bytes, signed when the chunks are.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
import { Fault } from '../../lib/errors.ts';
import { type Checksum, type ChecksumName, checksumNames, createChecksum } from './checksum.ts';
import type { ChunkChain } from './chunk-chain.ts';

const prefix = 'x-amz-checksum-';

/** Reads the `x-amz-trailer` header. Only checksums may trail. */
export function announcedTrailers(header: string | undefined): ChecksumName[] {
  const names = (header ?? '').split(',').map((name) => name.trim().toLowerCase());
  return names
    .filter((name) => name !== '')
    .map((name) => {
      const known = checksumNames.find((checksum) => name === `${prefix}${checksum}`);
      if (known) return known;
      throw new Fault('invalid_input', { what: 'x-amz-trailer names no known checksum.', s3Error: 'InvalidRequest' });
    });
}

export class TrailerCheck {
  readonly #checksums: Map<string, Checksum>;

  constructor(names: readonly ChecksumName[]) {
    this.#checksums = new Map(names.map((name) => [`${prefix}${name}`, createChecksum(name)]));
  }

  update(data: Uint8Array): void {
    for (const checksum of this.#checksums.values()) checksum.update(data);
  }

  check(lines: readonly string[], chain: ChunkChain | undefined): void {
    const fields = lines.map(parseLine);
    const signature = fields.find(([name]) => name === 'x-amz-trailer-signature')?.[1];
    const rest = fields.filter(([name]) => name !== 'x-amz-trailer-signature');
    chain?.checkTrailer(
      rest.map(([name, value]) => `${name}:${value}`),
      signature,
    );
    if (rest.length !== this.#checksums.size) throw malformed();
    for (const [name, value] of rest) {
      const checksum = this.#checksums.get(name);
      if (!checksum) throw malformed();
      this.#checksums.delete(name);
      if (checksum.base64() === value) continue;
      const what = `The ${name.slice(prefix.length).toUpperCase()} you specified did not match the calculated checksum.`;
      throw new Fault('invalid_input', { what, s3Error: 'BadDigest' });
    }
  }
}

const malformed = (): Fault =>
  new Fault('invalid_input', {
    what: 'The request contained trailing data that was not well-formed or did not conform to x-amz-trailer.',
    s3Error: 'MalformedTrailerError',
  });

function parseLine(line: string): [string, string] {
  const mark = line.indexOf(':');
  if (mark < 1) throw malformed();
  return [line.slice(0, mark).trim().toLowerCase(), line.slice(mark + 1).trim()];
}
