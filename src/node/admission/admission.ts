// Whether a VM may start on this host, and when: memory that is promised once, room on the disk, a turn, a share of the processors.
import type { NodeCapacity } from '../../contract/node-api.ts';
import type { Clock } from '../../lib/clock.ts';
import { Fault, isFault } from '../../lib/errors.ts';
import type { CpuShare } from '../../vmm/driver.ts';
import { cpuShare } from './cpu-share.ts';
import { DiskGauge, type LookAtDisk } from './disk-gauge.ts';
import { type Hold, type MemoryDemand, MemoryLedger, releaseOnce } from './memory-ledger.ts';
import { type Rank, Turnstile } from './turnstile.ts';

/** What a VM asks of its host. */
export interface Demand {
  /** Counted against the host's memory. */
  baselineMib: number;
  /** What the guest sees: what its sleep may need on the disk. */
  memoryMib: number;
  vcpus: number;
  /** Memory of its image, which all VMs of that image share. */
  image?: { id: string; mib: number };
}

export interface AdmissionParts {
  /** For MicroVMs and builds together. */
  memoryMib: number;
  disk: LookAtDisk;
  diskReserveMib?: number | undefined;
  parallelLaunches: number;
  /** VMs that run at once: as many as there are network slots. */
  maxRunning: number;
  cpuBurst: number;
  clock: Clock;
}

/** How long a wake waits for others to fall asleep; the request that wakes it is held meanwhile. */
const wakePatienceMs = 15_000;
const buildPatienceMs = 60_000;
/** A build is held to no less: it should end. */
const leastBuildProcessors = 1;

export class Admission {
  readonly #memory: MemoryLedger;
  readonly #disk: DiskGauge;
  readonly #turns: Turnstile;
  readonly #cpuBurst: number;
  readonly #maxRunning: number;
  /** VMs that run or are about to. */
  #running = 0;
  /** What everything that runs or is about to may write when it is put to sleep. */
  #sleepMib = 0;
  /** What builds hold: it will be free when the next one begins. */
  #buildMib = 0;
  /** Of MicroVMs that are not launched yet. */
  readonly #reserved = new Map<string, Hold>();

  constructor(parts: AdmissionParts) {
    this.#memory = new MemoryLedger(parts.memoryMib, parts.clock);
    this.#disk = new DiskGauge(parts.disk, parts.diskReserveMib);
    this.#turns = new Turnstile(parts.parallelLaunches, parts.clock);
    this.#cpuBurst = parts.cpuBurst;
    this.#maxRunning = parts.maxRunning;
  }

  get capacity(): NodeCapacity {
    const { offeredMib: memoryMib, committedMib } = this.#memory;
    const { parallel: parallelLaunches, waiting } = this.#turns;
    return { memoryMib, committedMib, parallelLaunches, waiting: waiting + this.#memory.waiting };
  }

  /** Keeps room until `launch` takes it or `giveBack` is called. Rejects with `capacity_exhausted`. */
  async reserve(microvmId: string, demand: Demand): Promise<void> {
    if (this.#reserved.has(microvmId)) return;
    if (this.#running >= this.#maxRunning) {
      const what = `This host runs ${this.#running} VMs at once, which is its limit. Suspend or terminate MicroVMs.`;
      throw new Fault('capacity_exhausted', { what });
    }
    this.#checkPeak(demand);
    const hold = this.#with(this.#memory.hold(memoryOf(demand)), demand);
    this.#reserved.set(microvmId, hold);
    await this.#checkDisk('launch').catch((error: unknown) => {
      this.giveBack(microvmId);
      throw error;
    });
  }

  /** Idempotent; without effect on what was launched. */
  giveBack(microvmId: string): void {
    this.#reserved.get(microvmId)?.release();
    this.#reserved.delete(microvmId);
  }

  /** Takes what was reserved; what was not is reserved now. */
  async launch(microvmId: string, demand: Demand): Promise<Hold> {
    await this.reserve(microvmId, demand);
    const hold = this.#reserved.get(microvmId);
    if (!hold) throw new Fault('aborted', { what: 'The launch' });
    this.#reserved.delete(microvmId);
    return hold;
  }

  /** Waits a while for memory. Rejects with `capacity_exhausted`. */
  async wake(demand: Demand): Promise<Hold> {
    const hold = this.#with(await this.#memory.waitFor(memoryOf(demand), wakePatienceMs), demand);
    return this.#keepIfDisk('wake', hold);
  }

  /** For a VM that runs already: it takes its room even where there is none left. */
  adopt(demand: Demand): Hold {
    return this.#with(this.#memory.holdAnyway(memoryOf(demand)), demand);
  }

  /** Waits longer. Rejects with `capacity_exhausted`, or `build_failed` when the disk is short. */
  async build(demand: Demand, signal?: AbortSignal): Promise<Hold> {
    const memory = this.#with(await this.#memory.waitFor(memoryOf(demand), buildPatienceMs, signal), demand);
    this.#buildMib += demand.baselineMib;
    const hold = releaseOnce(() => {
      this.#buildMib -= demand.baselineMib;
      memory.release();
    });
    return this.#keepIfDisk('build', hold).catch((error: unknown) => {
      if (!isFault(error, 'capacity_exhausted')) throw error;
      throw new Fault('build_failed', { reason: 'DISK_STORAGE_FULL', what: error.message }, error);
    });
  }

  /** Rejects with `capacity_exhausted` when a build could not begin now, or after those under way. */
  async checkBuild(demand: Pick<Demand, 'baselineMib' | 'memoryMib'>): Promise<void> {
    this.#checkPeak(demand);
    this.#memory.check(memoryOf(demand), this.#buildMib);
    await this.#disk.check('build', this.#sleepMib + demand.memoryMib);
  }

  /** Does `work` when its turn to start has come. */
  turn<T>(rank: Rank, account: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    return this.#turns.run(rank, account, work, signal);
  }

  cpu(size: Pick<Demand, 'baselineMib' | 'vcpus'>, kind: 'microvm' | 'build'): CpuShare {
    return cpuShare(size, this.#cpuBurst, kind === 'build' ? leastBuildProcessors : 0);
  }

  /** Refuses all who wait. */
  close(): void {
    this.#memory.close();
    this.#turns.close();
  }

  /** Peaks are not reserved, but a guest that sees more memory than there could ever be for it is not begun. */
  #checkPeak({ baselineMib, memoryMib }: Pick<Demand, 'baselineMib' | 'memoryMib'>): void {
    const { offeredMib } = this.#memory;
    if (memoryMib <= Math.max(baselineMib, offeredMib)) return;
    const what = `This host cannot hold the peak of that size: the guest sees ${memoryMib} MiB, and ${offeredMib} MiB are offered to MicroVMs and builds together. Ask for a smaller size, raise --memory, or use profile open, which has no peaks.`;
    throw new Fault('capacity_exhausted', { what, neededMib: memoryMib, offeredMib });
  }

  async #keepIfDisk(kind: 'wake' | 'build', hold: Hold): Promise<Hold> {
    try {
      await this.#checkDisk(kind);
      return hold;
    } catch (error) {
      hold.release();
      throw error;
    }
  }

  #checkDisk(kind: 'launch' | 'wake' | 'build'): Promise<void> {
    return this.#disk.check(kind, this.#sleepMib);
  }

  #with(memory: Hold, { memoryMib }: Demand): Hold {
    this.#sleepMib += memoryMib;
    this.#running++;
    return releaseOnce(() => {
      this.#running--;
      this.#sleepMib -= memoryMib;
      memory.release();
    });
  }
}

const memoryOf = ({ baselineMib, image }: Pick<Demand, 'baselineMib' | 'image'>): MemoryDemand => ({
  mib: baselineMib,
  ...(image ? { shared: image } : {}),
});
