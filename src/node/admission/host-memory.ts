// How much memory a host has for MicroVMs and builds: what the machine has, or what our memory cgroup leaves us, minus a reserve.
import { readFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';

const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');

/** For the system, the server, and the images that are kept loaded: 1 GiB or a tenth, but a quarter at most. */
export const hostReserveMib = (totalMib: number): number =>
  Math.ceil(Math.min(Math.max(1024, totalMib / 10), totalMib / 4));

/** `root`: for tests, a directory that stands for `/`. */
export async function offeredMemoryMib(machineBytes = totalmem(), root = '/'): Promise<number> {
  const totalMib = Math.min(machineBytes / 2 ** 20, await cgroupLimitMib(root));
  return Math.floor(totalMib - hostReserveMib(totalMib));
}

/** The smallest limit on the way from our memory cgroup to its root; Infinity without one. */
async function cgroupLimitMib(root: string): Promise<number> {
  const lines = (await read(join(root, 'proc/self/cgroup'))).trim().split('\n');
  let limit = Number.POSITIVE_INFINITY;
  for (const line of lines) {
    const [, controllers = '', ...rest] = line.split(':');
    const isV1 = controllers.split(',').includes('memory');
    if (!isV1 && controllers !== '') continue;
    const mount = join(root, isV1 ? 'sys/fs/cgroup/memory' : 'sys/fs/cgroup');
    const file = isV1 ? 'memory.limit_in_bytes' : 'memory.max';
    // In a container the path may be that of the host, which is not mounted: what cannot be read is passed over.
    for (let path = rest.join(':'); ; path = dirname(path)) {
      limit = Math.min(limit, asMib(await read(join(mount, path, file))));
      if (path === dirname(path)) break;
    }
  }
  return limit;
}

/** `max` and nothing at all are no limit. */
const asMib = (text: string): number => (/^\d+\s*$/.test(text) ? Number(text) / 2 ** 20 : Number.POSITIVE_INFINITY);
