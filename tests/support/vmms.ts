// Which VMMs a host runs, as the machine sees it.
import { readdirSync, readFileSync } from 'node:fs';
import { instanceOf, nodeLayout } from '../../src/node/layout.ts';

/** Process ids of VMMs with sockets in the run directory of the host on `dataDirectory`. */
export function vmmsOf(dataDirectory: string): string[] {
  const { run } = nodeLayout(dataDirectory, instanceOf(dataDirectory));
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`path=${run}/`);
    } catch {
      return false;
    }
  });
}
