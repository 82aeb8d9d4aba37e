// Damage as a disk makes it: one bit of one file is another one.
import { open, stat } from 'node:fs/promises';

/** Flips a bit and resolves with what puts it right again. `at`: offset, or a part of the file from 0 to 1. */
export async function flipBit(path: string, at = 0.5): Promise<() => Promise<void>> {
  const { size } = await stat(path);
  const offset = at < 1 ? Math.floor(size * at) : at;
  const flip = async (): Promise<void> => {
    const file = await open(path, 'r+');
    try {
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, offset);
      byte[0] = (byte[0] ?? 0) ^ 0x04;
      await file.write(byte, 0, 1, offset);
    } finally {
      await file.close();
    }
  };
  await flip();
  return flip;
}
