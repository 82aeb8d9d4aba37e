// A full disk, really full: the data directory is on a small file system of its own in a file.
import { mkdir, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '../../src/lib/process.ts';
import type { FaultKit } from './faults.ts';

const sizeGib = 6;
const mib = 1 << 20;
/** What a filled disk has left, at most. */
const mostLeftMib = 24;

/** Makes and mounts it below `scratch`. Only this file system is ever filled. */
export async function makeSmallDisk(scratch: string): Promise<FaultKit> {
  const image = join(scratch, 'disk.img');
  const directory = join(scratch, 'disk');
  await mkdir(directory);
  await run('truncate', ['-s', `${sizeGib}G`, image]);
  await run('mkfs.ext4', ['-q', '-F', '-m', '0', image], { timeoutMs: 60_000 });
  await run('mount', ['-o', 'loop', image, directory]);
  const filler = join(directory, 'filler');
  const free = (): Promise<void> => rm(filler, { force: true });
  let rounds = 0;
  return {
    name: 'disk-full',
    directory,
    // What is measured is a disk without room, not the room that admission keeps.
    serverArguments: ['--disk-reserve', '0'],
    async begin(round, at) {
      await at(round.fault.atMs);
      const { bavail, bsize } = await statfs(directory);
      const leftMib = Math.floor(round.fault.strength * mostLeftMib);
      const bytes = Math.max(mib, bavail * bsize - leftMib * mib);
      await run('fallocate', ['-l', String(bytes), filler]).catch(() => undefined);
    },
    /** Every second start finds the disk still full. */
    async afterKill() {
      rounds += 1;
      if (rounds % 2 === 0) await free();
    },
    failedStart: free,
    end: free,
    async close() {
      await run('umount', [directory]).catch(() => run('umount', ['-l', directory]));
    },
  };
}
