// The build cache of one account: a sparse raw disk, limited in size, whose file system is made and read only inside builder VMs.
// A build takes it by rename into its own work directory and gives it back after a clean end. So one build at a time uses it, a
// second one of the account starts with an empty disk of its own, and one that a crash left half-written is never found again.
import { join } from 'node:path';
import { createFile, makeDirectory, moveIntoPlace, reclaim, syncPath } from '../lib/durable-file.ts';
import { Fault } from '../lib/errors.ts';
import { isMissing } from '../lib/read-file.ts';

export interface CacheDisk {
  readonly path: string;
  /** Keeps it for the account's next build. Whoever does not call this throws it away with its work directory. */
  giveBack(): Promise<void>;
}

/** `workDirectory` and `directory` are on one file system. A disk that is made is `mib` long. */
export async function takeCacheDisk(
  directory: string,
  account: string,
  workDirectory: string,
  mib: number,
): Promise<CacheDisk> {
  if (!/^\d{12}$/.test(account)) throw new Fault('internal', { what: `No account for a build cache: ${account}.` });
  await makeDirectory(directory);
  const home = join(directory, `${account}.disk`);
  const path = join(workDirectory, 'cache.disk');
  await moveIntoPlace(home, path).catch(async (error: unknown) => {
    if (!isMissing(error)) throw error;
    await makeSparseDisk(path, mib);
  });
  return {
    path,
    async giveBack() {
      await reclaim(path);
      // What a crash tore would be found again by every build of the account.
      await syncPath(path);
      await moveIntoPlace(path, home);
    },
  };
}

/** A raw disk of zeros that occupies nothing. */
export async function makeSparseDisk(path: string, mib: number): Promise<void> {
  const file = await createFile(path);
  try {
    await file.extend(mib * 2 ** 20);
  } finally {
    await file.close();
  }
}
