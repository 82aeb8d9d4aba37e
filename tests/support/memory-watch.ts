// How much memory a process takes, as the kernel sees it, while something goes on.
import { statusOf } from './process-facts.ts';

const everyMs = 50;

export const residentMib = async (pid: number): Promise<number> =>
  Number.parseInt((await statusOf(pid)).VmRSS ?? '', 10) / 1024;

export interface MemoryWatch {
  /** Ends it. Resolves with the most that was seen, in MiB. */
  end(): Promise<number>;
}

/** Looks at the resident memory of `pid` again and again. */
export function watchMemory(pid: number): MemoryWatch {
  let most = 0;
  const look = async (): Promise<void> => {
    most = Math.max(most, await residentMib(pid).catch(() => 0));
  };
  const timer = setInterval(() => void look(), everyMs);
  return {
    async end() {
      clearInterval(timer);
      await look();
      return most;
    },
  };
}
