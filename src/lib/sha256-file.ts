import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';

/** Up to this size a file is read in one go: a stream would cost more than the hash. */
const smallFileBytes = 4 << 20;

/** SHA-256 of a file, lower-case hex. Rejects with an AbortError on `signal`. */
export async function sha256File(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  if ((await stat(path)).size <= smallFileBytes) return hash.update(await readFile(path)).digest('hex');
  await pipeline(createReadStream(path, { highWaterMark: 1 << 20 }), hash, signal ? { signal } : {});
  return hash.digest('hex');
}
