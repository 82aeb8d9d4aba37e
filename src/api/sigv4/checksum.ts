// The checksums S3 clients send with a body. Node brings CRC-32 and the hashes; the other two CRCs are table-driven here.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';

export const checksumNames = ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const;
export type ChecksumName = (typeof checksumNames)[number];

export interface Checksum {
  update(data: Uint8Array): void;
  /** Big-endian bytes in base64, as the headers carry it. */
  base64(): string;
}

export function createChecksum(name: ChecksumName | 'md5'): Checksum {
  switch (name) {
    case 'crc32':
      return crc32Checksum();
    case 'crc32c':
      return crc32cChecksum();
    case 'crc64nvme':
      return crc64nvmeChecksum();
    default: {
      const hash = createHash(name);
      return { update: (data) => void hash.update(data), base64: () => hash.digest('base64') };
    }
  }
}

function crc32Checksum(): Checksum {
  let value = 0;
  return {
    update(data) {
      value = crc32(data, value);
    },
    base64: () => base64Words(value),
  };
}

// Castagnoli's polynomial, reflected.
const castagnoli = Uint32Array.from({ length: 256 }, (_, index) => {
  let word = index;
  for (let bit = 0; bit < 8; bit++) word = word & 1 ? (word >>> 1) ^ 0x82f63b78 : word >>> 1;
  return word;
});

function crc32cChecksum(): Checksum {
  let value = 0xffffffff;
  return {
    update(data) {
      for (const byte of data) value = (castagnoli[(value ^ byte) & 0xff] ?? 0) ^ (value >>> 8);
    },
    base64: () => base64Words(~value),
  };
}

// The NVMe polynomial, reflected: 0x9a6c9329ac4bc9b5. Two halves, because BigInt is a hundred times slower.
const nvmeHigh = new Uint32Array(256);
const nvmeLow = new Uint32Array(256);
for (let index = 0; index < 256; index++) {
  let word = BigInt(index);
  for (let bit = 0; bit < 8; bit++) word = word & 1n ? (word >> 1n) ^ 0x9a6c9329ac4bc9b5n : word >> 1n;
  nvmeHigh[index] = Number(word >> 32n);
  nvmeLow[index] = Number(word & 0xffffffffn);
}

function crc64nvmeChecksum(): Checksum {
  let high = 0xffffffff;
  let low = 0xffffffff;
  return {
    update(data) {
      for (const byte of data) {
        const index = (low ^ byte) & 0xff;
        low = ((low >>> 8) | (high << 24)) ^ (nvmeLow[index] ?? 0);
        high = (high >>> 8) ^ (nvmeHigh[index] ?? 0);
      }
    },
    base64: () => base64Words(~high, ~low),
  };
}

function base64Words(...words: number[]): string {
  const bytes = Buffer.alloc(words.length * 4);
  words.forEach((word, i) => {
    bytes.writeUInt32BE(word >>> 0, i * 4);
  });
  return bytes.toString('base64');
}
