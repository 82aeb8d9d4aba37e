// Builds write to the host's disk, and how much is theirs to say; this is what keeps one from filling it.
import { statfs } from 'node:fs/promises';
import { Fault } from '../lib/errors.ts';

export interface FreeSpaceWatch {
  /** Fires when less than the minimum is left. */
  full: AbortSignal;
  stop(): void;
}

/** Looks twice a second at the file system of `directory`. `minimumFreeBytes`: default 1 GiB. */
export function watchFreeSpace(directory: string, minimumFreeBytes = 2 ** 30): FreeSpaceWatch {
  const full = new AbortController();
  const look = async (): Promise<void> => {
    const facts = await statfs(directory);
    if (facts.bavail * facts.bsize < minimumFreeBytes) full.abort();
  };
  const timer = setInterval(() => void look().catch(() => undefined), 500);
  return { full: full.signal, stop: () => clearInterval(timer) };
}

/** The fault for a build that was ended because of `full`. */
export const hostIsFull = (cause: unknown): Fault =>
  new Fault(
    'build_failed',
    { reason: 'DISK_STORAGE_FULL', what: 'The build used up the disk space of the host.' },
    cause,
  );
