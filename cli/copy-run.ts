// A copy that takes a while: how far it is, and what signals do to it.
import { progressBar, progressLine } from './progress-line.ts';
import { listenForStop } from './stop-signals.ts';
import type { Surroundings } from './surroundings.ts';

export interface CopyRun {
  onProgress: (done: number, total: number) => void;
  signal: AbortSignal;
}

/** The first signal lets the copy remove what it made; the second ends at once and leaves that. `target`: what is made. */
export async function runCopy<T>(
  target: string,
  { err }: Surroundings,
  work: (run: CopyRun) => Promise<T>,
): Promise<T> {
  const line = progressLine(err);
  const stop = listenForStop(process, (exitCode) => {
    err.write(`\nStopped at once. What was made so far is in ${target}.new: remove it.\n`);
    process.exit(exitCode);
  });
  try {
    return await work({ signal: stop.asked, onProgress: (done, total) => line.show(progressBar(done, total)) });
  } finally {
    line.clear();
    stop.dispose();
  }
}
