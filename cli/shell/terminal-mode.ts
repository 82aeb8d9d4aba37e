// The user's terminal handed through: what is typed goes to the other side as it is, and what comes is shown as it is.
import { spawnSync } from 'node:child_process';
import type { Console } from '../surroundings.ts';

/**
 * Returns what restores it. Node's raw mode still turns each line feed into two characters, which full-screen programs do not mean: `stty`, where
 * there is one, ends that.
 */
export function handThrough({ input, signals }: Console): () => void {
  const before = stty('-g');
  input.setRawMode?.(true);
  if (before !== undefined) stty('-opost');
  const restore = (): void => {
    signals.off('exit', restore);
    input.setRawMode?.(false);
    if (before !== undefined) stty(before);
  };
  // Also when this process ends by an error of its own.
  signals.on('exit', restore);
  return restore;
}

/** On standard input; undefined when it failed. */
function stty(argument: string): string | undefined {
  const { status, stdout } = spawnSync('stty', [argument], { stdio: ['inherit', 'pipe', 'ignore'], timeout: 5_000 });
  return status === 0 ? stdout.toString().trim() : undefined;
}
