// Room on the file system of the data directory. Looked at before something starts; never before something is put to sleep.
import { statfs } from 'node:fs/promises';
import { Fault } from '../../lib/errors.ts';

export interface DiskSpace {
  totalMib: number;
  /** For us, without what only root may use. */
  freeMib: number;
}

export type LookAtDisk = () => Promise<DiskSpace>;

const mib = 1 << 20;

export const diskOf =
  (directory: string): LookAtDisk =>
  async () => {
    const { bsize, blocks, bavail } = await statfs(directory);
    return { totalMib: Math.floor((blocks * bsize) / mib), freeMib: Math.floor((bavail * bsize) / mib) };
  };

/** 4 GiB or 5 %, whichever is more, but never more than a quarter of a small disk. */
export const defaultReserveMib = (totalMib: number): number =>
  Math.floor(Math.min(Math.max(4096, totalMib * 0.05), totalMib * 0.25));

export class DiskGauge {
  readonly #look: LookAtDisk;
  readonly #reserveMib: number | undefined;

  /** `reserveMib`: what launches and builds leave free; wakes may use half of it. Default by the size of the file system. */
  constructor(look: LookAtDisk, reserveMib?: number) {
    this.#look = look;
    this.#reserveMib = reserveMib;
  }

  /**
   * Rejects with `capacity_exhausted` when less would be left than the watermark, after everything that runs (`sleepMib`, with what is about to
   * start) were put to sleep with all of its memory changed.
   */
  async check(kind: 'launch' | 'build' | 'wake', sleepMib: number): Promise<void> {
    const { totalMib, freeMib } = await this.#look();
    const low = this.#reserveMib ?? defaultReserveMib(totalMib);
    const watermarkMib = kind === 'wake' ? Math.floor(low / 2) : low;
    if (freeMib - sleepMib >= watermarkMib) return;
    const what = [
      `This host's disk is too full for that: ${freeMib} MiB are free, a ${kind} leaves ${watermarkMib} MiB untouched,`,
      `and ${sleepMib} MiB are kept for putting to sleep what runs. Terminate MicroVMs, delete files from the disk of the data directory,`,
      'or lower --disk-reserve.',
    ].join(' ');
    throw new Fault('capacity_exhausted', { what, diskFull: true, freeMib, watermarkMib, sleepMib });
  }
}
