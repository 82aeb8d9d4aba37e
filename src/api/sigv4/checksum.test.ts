// Check values of the CRC catalogue, and independence of how the data is split.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checksumNames, createChecksum } from './checksum.ts';

test.each([
  ['crc32', 'cbf43926'],
  ['crc32c', 'e3069283'],
  ['crc64nvme', 'ae8b14860a799888'],
  ['md5', '25f9e794323b453885f5181f1b624d0b'],
] as const)('%s of 123456789', (name, hex) => {
  const checksum = createChecksum(name);
  checksum.update(Buffer.from('123456789'));
  expect(Buffer.from(checksum.base64(), 'base64').toString('hex')).toBe(hex);
});

test('splitting the data makes no difference', () => {
  fc.assert(
    fc.property(fc.constantFrom(...checksumNames), fc.array(fc.uint8Array()), (name, pieces) => {
      const [whole, split] = [createChecksum(name), createChecksum(name)];
      whole.update(Buffer.concat(pieces));
      for (const piece of pieces) split.update(piece);
      expect(split.base64()).toBe(whole.base64());
    }),
  );
});
