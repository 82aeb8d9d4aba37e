// What a disk answers when it is full or fails, as Faults; and the seam through which tests make it do so.
import { basename, dirname, join } from 'node:path';
import { Fault, isFault } from './errors.ts';

export type FileOperation = 'append' | 'copy' | 'create' | 'mkdir' | 'protect' | 'remove' | 'rename' | 'sync' | 'write';

/** How an operation fails in a test. */
export interface FileFault {
  /** As the system would throw it, with its `code`. */
  error: Error;
  /** A write stores the first half of its bytes before it fails. */
  partly?: boolean;
}

/** Asked before each operation of `durable-file.ts`; undefined lets it go on. */
export type FileFaults = (operation: FileOperation, path: string) => FileFault | undefined;

let faults: FileFaults | undefined;

/** For tests; nothing else calls it. `undefined` makes the disk whole again. */
export function setFileFaults(next: FileFaults | undefined): void {
  faults = next;
}

export const fileFault: FileFaults = (operation, path) => faults?.(operation, path);

/** Throws what a test wants `operation` to fail with. */
export function failIfTold(operation: FileOperation, path: string): void {
  const told = faults?.(operation, path);
  if (told) throw told.error;
}

const fullCodes = ['ENOSPC', 'EDQUOT', 'SQLITE_FULL'];
const failedCodes = ['EIO', 'EROFS', 'ENXIO', 'ENODEV', 'SQLITE_CORRUPT', 'SQLITE_NOTADB'];
/** With what SQLite adds, e.g. `SQLITE_IOERR_FSYNC`. */
const failedKinds = ['SQLITE_IOERR', 'SQLITE_READONLY'];

/** `disk_full` or `disk_failed` for an error that says so; any other error as it is. */
export function diskFault(error: unknown, path: string): unknown {
  if (isFault(error) || !(error instanceof Error) || !('code' in error)) return error;
  const code = String(error.code);
  // Two components say which file it is; the rest is the host's own business.
  const file = join(basename(dirname(path)), basename(path));
  if (fullCodes.includes(code)) return new Fault('disk_full', { file, path }, error);
  if (failedCodes.includes(code) || failedKinds.some((kind) => code.startsWith(kind)))
    return new Fault('disk_failed', { file, path, why: code }, error);
  return error;
}
