// Reading small files that may be missing.
import { readdir, readFile, stat } from 'node:fs/promises';
import { Fault } from './errors.ts';

/** The text of a small file; undefined when there is none. Rejects with `too_large`. */
export async function readSmallFile(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > maxBytes) throw new Fault('too_large', { what: `The file ${path}`, limit: `${maxBytes} bytes` });
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** What is in a directory, nothing when there is none. Rejects when the disk does not say: that is not the same. */
export async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** Whether something is there, whatever it is. */
export const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

/** Whether there is no such file or directory. */
export const isMissing = (error: unknown): boolean => hasCode(error, 'ENOENT', 'ENOTDIR');

/** Whether the system says one of these, e.g. `EEXIST`. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code));
}
