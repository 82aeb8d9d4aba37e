// The fault of a run, set up in its scratch directory.
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pause } from '../../src/lib/deadline.ts';
import { run } from '../../src/lib/process.ts';
import { faultyEnvironment } from '../support/faulty-server.ts';
import { smallDisk } from '../support/small-disk.ts';
import { type FaultKit, noFault } from './faults.ts';
import type { Fault } from './plan.ts';
import { rebootFault } from './reboot.ts';

export async function openFault(fault: Fault | undefined, scratch: string, seed: number): Promise<FaultKit> {
  if (fault === undefined) return noFault;
  const open: Record<Fault, () => FaultKit | Promise<FaultKit>> = {
    reboot: () => rebootFault,
    'disk-full': () => filledDisk(),
    eio: () => failingWrites(scratch, seed),
    clock: () => steppedClock(scratch),
  };
  return open[fault]();
}

const diskMib = 6144;
/** What a filled disk has left, at most. */
const mostLeftMib = 24;

/** Really full: the data directory is on a small file system of its own, and only that is ever filled. Every second start finds it still full. */
async function filledDisk(): Promise<FaultKit> {
  const disk = await smallDisk(diskMib);
  let kills = 0;
  // Blocks are free when the file system has written down that they are.
  const free = async (): Promise<void> => {
    await disk.free();
    await run('sync', ['-f', disk.directory]);
  };
  return {
    name: 'disk-full',
    directory: disk.directory,
    // What is looked at is a disk without room, not the room that admission keeps.
    serverArguments: ['--disk-reserve', '0'],
    async begin(round, at) {
      await at(round.fault.atMs);
      // It may have less left than that already.
      await disk.fill(Math.floor(round.fault.strength * mostLeftMib)).catch(() => {});
    },
    async afterKill() {
      kills += 1;
      if (kills % 2 === 0) await free();
    },
    failedStart: free,
    end: free,
    close: async () => disk[Symbol.asyncDispose](),
  };
}

/** So many writes fail while it lasts. */
const oneIn = 6;
const longestAfterStartMs = 2000;

/** From a moment of the round on, through the kill and the first moments of the recovery. */
function failingWrites(scratch: string, seed: number): FaultKit {
  const armed = join(scratch, 'armed');
  const report = join(scratch, 'failed-writes');
  const disarm = (): Promise<void> => rm(armed, { force: true });
  return {
    name: 'eio',
    // The schedule begins anew with each process: with one seed, the same operation would fail at every start.
    environment: (n) => faultyEnvironment({ oneIn, seed: seed + n, code: 'EIO', armed, report }),
    async begin(round, at) {
      await at(round.fault.atMs);
      await writeFile(armed, '');
    },
    failedStart: disarm,
    async end(round) {
      await pause(round.fault.strength * longestAfterStartMs);
      await disarm();
    },
  };
}

const hourMs = 3_600_000;
const offsets = [-hourMs, 0, hourMs];
/** The server looks every 100 ms. */
const seenAfterMs = 200;

/** Each round it is set from one of three times to another. */
function steppedClock(scratch: string): FaultKit {
  const file = join(scratch, 'offset');
  let offset = 0;
  let steady = Promise.resolve();
  const step = async (to: number): Promise<void> => {
    await writeFile(file, String(to));
    await pause(seenAfterMs);
    offset = to;
  };
  return {
    name: 'clock',
    environment: () => faultyEnvironment({ clock: file }),
    clockOffset: () => offset,
    steady: () => steady,
    async begin(round, at) {
      await at(round.fault.atMs);
      const others = offsets.filter((one) => one !== offset);
      steady = step(others[Math.floor(round.fault.strength * others.length)] ?? 0);
      await steady;
    },
  };
}
