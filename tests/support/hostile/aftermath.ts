// What must be the same on the host after an attack as before it.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** SHA-256 of every file of the images, by path. */
export async function hashImages(dataDirectory: string): Promise<Record<string, string>> {
  const images = join(dataDirectory, 'images');
  const names = await readdir(images, { recursive: true });
  const hashes: Record<string, string> = {};
  for (const name of names.sort()) {
    if (!(await stat(join(images, name))).isFile()) continue;
    const hash = createHash('sha256');
    await pipeline(createReadStream(join(images, name)), hash);
    hashes[name] = hash.digest('hex');
  }
  return hashes;
}

const expected = [
  /^(images|vms|logs|keys|objects|archives)$/,
  /^build-cache(\/\d{12}\.disk)?$/,
  /^images\/[0-9a-f-]{36}(\/(manifest\.json|image\.json|memory\.pages|device-state|root\.qcow2|init\.qcow2|empty\.qcow2))?$/,
  /^vms\/microvm-[\w-]+(\/(microvm\.json|disk|disk\/layer-\d+\.qcow2|sleep-\d+|sleep-\d+\/[\w.-]+))?$/,
  /^logs\/[0-9a-f-]{36}\.log$/,
];

/** Paths below the data directory that nothing of the product makes. `allowed`: what the test itself put there. */
export async function strangeFiles(dataDirectory: string, allowed: readonly RegExp[] = []): Promise<string[]> {
  const names = await readdir(dataDirectory, { recursive: true });
  return names.filter((name) => ![...expected, ...allowed].some((pattern) => pattern.test(name)));
}

/** Files that users of VMMs own where anybody may write. */
export async function strayFiles(): Promise<string[]> {
  const found = await Promise.all(
    ['/tmp', '/var/tmp', '/dev/shm', '/run', '/'].map(async (directory) => {
      const names = await readdir(directory);
      const facts = await Promise.all(names.map((name) => stat(join(directory, name)).catch(() => undefined)));
      return names.filter((_, i) => (facts[i]?.uid ?? 0) >= 900_000).map((name) => join(directory, name));
    }),
  );
  return found.flat();
}

/** Bytes that the directory takes on its disk. */
export async function bytesOnDisk(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true });
  const facts = await Promise.all(names.map((name) => stat(join(directory, name)).catch(() => undefined)));
  return facts.reduce((sum, one) => sum + (one?.blocks ?? 0) * 512, 0);
}
