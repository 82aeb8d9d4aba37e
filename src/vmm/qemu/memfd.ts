// Memory files that outlive no one: a memfd made by the small helper `seal` (Node cannot make one), sealed when it holds an image,
// so that a VMM which maps it copy-on-write, and even one that was broken out of, cannot change the image of others.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { within } from '../../lib/deadline.ts';
import { Fault } from '../../lib/errors.ts';

export interface MemoryFile {
  readonly fd: number;
  /** Name in /proc/PID/maps. */
  readonly name: string;
  readonly bytes: number;
  close(): void;
}

/** Where a VMM inherits it (machine-shape.ts). */
const memoryDescriptor = 3;
/** Node has no name for it: refers to a file without opening it. https://man7.org/linux/man-pages/man2/open.2.html */
export const O_PATH = 0o10000000;
const helperDeadlineMs = 10_000;

/** Makes a memory file of `bytes`, lets `fill` write it, and seals it against any further change when `sealed`. */
export async function createMemoryFile(
  helper: string,
  name: string,
  bytes: number,
  options: { sealed: boolean },
  fill: (fd: number) => Promise<void> = async () => {},
): Promise<MemoryFile> {
  const child = spawn(helper, [String(bytes), name], { stdio: ['pipe', 'pipe', 'inherit'] });
  const failed = new Promise<never>((_, reject) => {
    child.once('error', (cause) => reject(new Fault('missing_tool', { tool: helper, next: 'npm run setup' }, cause)));
    child.once('exit', (exitCode) =>
      reject(new Fault('process_failed', { command: helper, exitCode: exitCode ?? -1 })),
    );
  });
  failed.catch(() => {});
  child.stdin.on('error', () => {});
  const lines = createInterface({ input: child.stdout });
  const said = (): Promise<[string]> =>
    within(helperDeadlineMs, helper, Promise.race([once(lines, 'line') as Promise<[string]>, failed]));
  let fd: number | undefined;
  try {
    const number = /^fd (\d+)$/.exec((await said())[0])?.[1];
    fd = openSync(`/proc/${child.pid}/fd/${number}`, 'r+');
    await fill(fd);
    if (options.sealed) {
      child.stdin.write('seal\n');
      await said();
    }
    return { fd, name, bytes, close: closeOnce(fd) };
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    throw error;
  } finally {
    lines.close();
    child.kill();
  }
}

/** A memory file in the hands of another process. */
export interface HeldMemory {
  pid: number;
  /** What `memoryKey` said of it when it was sealed. */
  key: string;
}

/** Names the file behind a descriptor, until the host's next boot. */
export function memoryKey(fd: number): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  return `${dev}:${ino}`;
}

/**
 * The memory file that a VMM inherited, for others to map as well. Undefined when the process has put something else in its place: what is not known to be
 * the sealed file is looked at, and not opened.
 */
export function shareMemoryFile({ pid, key }: HeldMemory, name: string, bytes: number): MemoryFile | undefined {
  let reference: number | undefined;
  try {
    reference = openSync(`/proc/${pid}/fd/${memoryDescriptor}`, O_PATH);
    if (memoryKey(reference) !== key || fstatSync(reference).size !== bytes) return undefined;
    const fd = openSync(`/proc/self/fd/${reference}`, 'r+');
    return { fd, name, bytes, close: closeOnce(fd) };
  } catch {
    return undefined;
  } finally {
    if (reference !== undefined) closeSync(reference);
  }
}

function closeOnce(fd: number): () => void {
  let open = true;
  return () => {
    if (open) closeSync(fd);
    open = false;
  };
}
