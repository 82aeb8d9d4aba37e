// Which process is which, for processes that may be nobody's child. A process id says nothing by itself: numbers are used again. Its start time beside it does, until
// the host's next boot. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
import { readFileSync } from 'node:fs';
import { readdir, readFile, readlink } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { pause } from '../../lib/deadline.ts';

export interface ProcessIdentity {
  pid: number;
  /** When it started, in clock ticks since the host's boot. */
  startTicks: number;
}

export interface MarkedProcess extends ProcessIdentity {
  /** The run directory in its command line. */
  runDirectory: string;
}

const slowestPollMs = 250;

export const readBootId = async (): Promise<string> =>
  (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();

/** Start time in the text of /proc/PID/stat; undefined for a process that has ended and only waits for its parent. */
export function startTicksIn(stat: string): number | undefined {
  // The name in the second field may hold anything, parentheses and spaces included.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [state = '', threads, ticks] = [fields[0], Number(fields[17]), Number(fields[19])];
  // The first thread may have ended before the others, who still hold the files.
  const over = /^[XxZ]/.test(state) && threads <= 1;
  return over || !Number.isSafeInteger(ticks) ? undefined : ticks;
}

/** Undefined when there is no such process any more. Reads at once: nothing can come between this and what the caller does in the same turn. */
export function identify(pid: number): ProcessIdentity | undefined {
  try {
    const startTicks = startTicksIn(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    return startTicks === undefined ? undefined : { pid, startTicks };
  } catch {
    return undefined;
  }
}

export const lives = ({ pid, startTicks }: ProcessIdentity): boolean => identify(pid)?.startTicks === startTicks;

/** SIGKILL, if it is still the same process. */
export function end(identity: ProcessIdentity): void {
  if (!lives(identity)) return;
  try {
    process.kill(identity.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Resolves when the process is no more. Looks often at first, then four times a second. Rejects with `aborted` on `signal`. */
export async function untilGone(identity: ProcessIdentity, signal?: AbortSignal): Promise<void> {
  for (let waitMs = 5; lives(identity); waitMs = Math.min(waitMs * 1.2, slowestPollMs)) await pause(waitMs, signal);
}

const launcherRoot = /^root=(\/.+)$/;
const monitorIn = /^socket,id=qmp,path=(\/[^,]+)\/[^/,]+,/;

/** The run directory of a VMM, or of the launcher that is about to become one, by its executable and its arguments. Of any other process: undefined. */
export function runDirectoryIn(executable: string, words: readonly string[]): string | undefined {
  // A program that was replaced by a newer one shows as deleted.
  const program = basename(executable.replace(/ \(deleted\)$/, ''));
  const isVmm = program.startsWith('qemu-system-');
  if (!isVmm && program !== 'launch') return undefined;
  const place = isVmm ? monitorIn : launcherRoot;
  const path = words.map((word) => place.exec(word)?.[1]).find((found) => found !== undefined);
  // Any user can start a program that says what it likes: with `..` in it the path would lead elsewhere.
  return path !== undefined && resolve(path) === path ? path : undefined;
}

/** Undefined when the process is gone or no VMM of ours. */
export async function markedProcess(pid: number): Promise<MarkedProcess | undefined> {
  const identity = identify(pid);
  if (!identity) return undefined;
  const executable = await readlink(`/proc/${pid}/exe`).catch(() => '');
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  const runDirectory = runDirectoryIn(executable, command.split('\0'));
  // Both texts are of the process that was identified only if that one still lives.
  return runDirectory !== undefined && lives(identity) ? { ...identity, runDirectory } : undefined;
}

/** All VMMs with run directories directly below `runRoot`. */
export async function markedProcesses(runRoot: string): Promise<MarkedProcess[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(markedProcess));
  return found.filter((one) => one !== undefined && dirname(one.runDirectory) === runRoot) as MarkedProcess[];
}
