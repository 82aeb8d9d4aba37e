// Which VMMs a host runs, as the machine sees it.
import { readdirSync, readFileSync } from 'node:fs';
import { instanceOf, nodeLayout } from '../../src/node/layout.ts';

/** Process ids of VMMs with sockets in the run directory of the host on `dataDirectory`, or in that of one MicroVM. */
export function vmmsOf(dataDirectory: string, microvmId?: string): string[] {
  const { run } = nodeLayout(dataDirectory, instanceOf(dataDirectory));
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const below = microvmId === undefined ? `${run}/` : `${run}/${microvmId.slice(-12)}/`;
  return pids.filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`path=${below}`);
    } catch {
      return false;
    }
  });
}
