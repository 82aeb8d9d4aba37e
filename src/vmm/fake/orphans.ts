// Fake VMs whose server let go of them or was killed: they run on, for the next driver in this process to adopt or to sweep.
import { rm } from 'node:fs/promises';
import type { CpuShare } from '../driver.ts';
import type { FakeApp } from './fake-app.ts';
import type { FakeGuest } from './fake-guest.ts';

/** What there is of a VM whoever holds it. */
export interface FakeVm {
  pid: number;
  app: FakeApp;
  guest: FakeGuest;
  runDirectory: string;
  memoryMib: number;
  vcpus: number;
  cpu: CpuShare | undefined;
  /** A booted VM becomes an image here. */
  image: string | undefined;
  /** A restored VM sleeps as what differs from the image with this id. Without it there is nothing to adopt. */
  base: string | undefined;
  /** Of its application, which ended while nobody was there. */
  exitCode?: number;
}

export interface Orphan {
  pid: number;
  /** Absent when it was still being started. */
  vm?: FakeVm;
}

const orphans = new Map<string, Orphan>();

export function orphan(runDirectory: string, left: Orphan): void {
  const { vm } = left;
  vm?.app.tell({
    print: () => {},
    exited: (exitCode) => {
      vm.exitCode = exitCode;
    },
  });
  orphans.set(runDirectory, left);
}

export const orphanAt = (runDirectory: string): Orphan | undefined => orphans.get(runDirectory);

/** It has an owner again. */
export const takeOrphan = (runDirectory: string): void => void orphans.delete(runDirectory);

export const orphanDirectories = (): string[] => [...orphans.keys()];

/** As if its VMM was killed. */
export async function endOrphan(runDirectory: string): Promise<void> {
  const left = orphans.get(runDirectory);
  orphans.delete(runDirectory);
  left?.vm?.app.stop();
  left?.vm?.guest.leave();
  await rm(runDirectory, { recursive: true, force: true });
}
