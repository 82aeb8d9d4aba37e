// Runs a child process to its end: argument array, never a shell; bounded output; a deadline.
import { spawn } from 'node:child_process';
import { Fault } from './errors.ts';

export interface RunOptions {
  /** Default 60 s. The whole process group is killed at the deadline. */
  timeoutMs?: number;
  signal?: AbortSignal;
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  input?: string | Uint8Array;
  /** Kept bytes of each stream, from the end; default 1 MiB. */
  maxOutputBytes?: number;
  /** Called with each piece of stdout or stderr as it arrives. */
  onOutput?: (chunk: Buffer) => void;
}

export interface RunResult {
  stdout: string;
  stderr: string;
}

/** Runs `command` with `args`. Rejects with `process_failed`, `missing_tool`, `deadline_exceeded` or `aborted`. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const { timeoutMs = 60_000, maxOutputBytes = 1 << 20 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: options.env,
      stdio: ['pipe', 'pipe', 'pipe'],
      detached: true,
    });
    const kept = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
    let fault: Fault | undefined;
    const stop = (why: Fault): void => {
      fault ??= why;
      try {
        if (child.pid) process.kill(-child.pid, 'SIGKILL');
      } catch {
        child.kill('SIGKILL');
      }
    };
    const timer = setTimeout(() => stop(new Fault('deadline_exceeded', { what: command, ms: timeoutMs })), timeoutMs);
    const onAbort = (): void => stop(new Fault('aborted', { what: command }));
    if (options.signal?.aborted) onAbort();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    for (const name of ['stdout', 'stderr'] as const) {
      child[name].on('data', (chunk: Buffer) => {
        options.onOutput?.(chunk);
        kept[name] = Buffer.concat([kept[name], chunk]).subarray(-maxOutputBytes);
      });
    }
    const finish = (): void => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    };
    child.on('error', (cause: NodeJS.ErrnoException) => {
      finish();
      if (cause.code === 'ENOENT') reject(new Fault('missing_tool', { tool: command, next: 'npm run setup' }, cause));
      else reject(new Fault('process_failed', { command, exitCode: -1, stderr: cause.message }, cause));
    });
    child.on('close', (exitCode, signal) => {
      finish();
      const result = { stdout: kept.stdout.toString('utf8'), stderr: kept.stderr.toString('utf8') };
      if (fault) return reject(fault);
      if (exitCode === 0) return resolve(result);
      const stderr = result.stderr.trim().slice(-2000);
      reject(
        new Fault('process_failed', {
          command: [command, ...args.slice(0, 3)].join(' '),
          exitCode: exitCode ?? -1,
          ...(signal ? { signal } : {}),
          stderr,
        }),
      );
    });
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}
