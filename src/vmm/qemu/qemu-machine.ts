// A live QEMU VM: its guest, how it ends, and how it is put to sleep.
import { readFile } from 'node:fs/promises';
import type { ProcessStatistics } from '../../contract/node-api.ts';
import { within } from '../../lib/deadline.ts';
import { describe, Fault } from '../../lib/errors.ts';
import { type Stopwatch, startStopwatch } from '../../lib/stopwatch.ts';
import type { ImageSizes, Machine, MachineEnd, SuspendResult } from '../driver.ts';
import type { GuestClient } from '../guest-client.ts';
import { readPaced } from '../paced-reader.ts';
import { ConsoleTail } from './console-tail.ts';
import { DiskStall } from './disk-stall.ts';
import type { VmmExit, VmmProcess } from './vmm-process.ts';

/** Of the console and of the application's log, each; what a guest says beyond it waits, or is dropped by the guest. */
const consoleBytesPerSecond = 4 << 20;

/** From the loss of its monitor until a VMM is gone; one that was broken out of may stay. */
const dyingMs = 5000;

const putToSleep = { cause: 'requested', what: 'It was put to sleep.' } as const;

/** What differs between a VM that makes an image and one that was restored. */
export interface Saver {
  /** Called while the VM is stopped: makes the snapshot, whole and durable. */
  commit(process: VmmProcess, stopwatch: Stopwatch): Promise<void>;
  /** Removes what a `commit` that failed has left. */
  abandon(): Promise<void>;
}

export interface MachineParts {
  process: VmmProcess;
  guest: GuestClient;
  stages: Record<string, number>;
  repaired: string[];
  /** It was found waiting for space on the host's disk. */
  stalled?: boolean | undefined;
  onConsole: ((text: Buffer) => void) | undefined;
  imageSaver: (() => Saver & { sizes(): Omit<ImageSizes, 'stages'> }) | undefined;
  suspendSaver: ((directory: string) => Saver & { bytes(): Promise<number> }) | undefined;
  /** Gives back what the VM held on this host; called once when the process is gone. */
  release: () => Promise<void>;
  /** Gives back only what this server holds for it: the VM is left to a later one. */
  forget?: () => void;
}

export class QemuMachine implements Machine {
  readonly guest: GuestClient;
  readonly stages: Record<string, number>;
  readonly repaired: string[];
  readonly ended: Promise<MachineEnd>;
  readonly #parts: MachineParts;
  readonly #tail = new ConsoleTail();
  readonly #stall: DiskStall;
  #cause: Omit<MachineEnd, 'consoleTail'> | undefined;
  #saving = false;
  /** Whether the latest save came to a whole snapshot. */
  #committed: Promise<boolean> | undefined;
  #left = false;

  constructor(parts: MachineParts) {
    this.#parts = parts;
    this.guest = parts.guest;
    this.stages = parts.stages;
    this.repaired = parts.repaired;
    const { process } = parts;
    for (const stream of [process.console, process.log]) {
      readPaced(stream, consoleBytesPerSecond, (chunk) => {
        this.#tail.add(chunk);
        parts.onConsole?.(chunk);
      });
    }
    process.qmp.on('event', (name, data) => this.#onEvent(name, data));
    this.#stall = new DiskStall(process.qmp, () => !this.#saving, { stalled: parts.stalled === true });
    void parts.guest.exited.then(({ exitCode, signal }) => {
      const how = signal ? `Signal: ${signal}` : `Exit Code: ${exitCode ?? 0}`;
      const end = { cause: 'application_exited', what: `Container Stopped with ${how}` } as const;
      this.#endBecause({ ...end, ...(exitCode === undefined ? {} : { exitCode }) });
    });
    parts.guest.on('broken', (why) =>
      this.#endBecause({ cause: 'guest_crashed', what: `The agent in the guest ${why}.` }),
    );
    this.ended = process.exited.then((exit) => this.#finish(exit));
  }

  get pid(): number {
    return this.#parts.process.pid;
  }

  async saveImage(): Promise<ImageSizes> {
    const saver = this.#parts.imageSaver?.();
    if (!saver) throw new Fault('internal', { what: 'Only a VM that was booted can become an image.' });
    const stages = await this.#save(saver);
    return { ...saver.sizes(), stages };
  }

  async suspend(directory: string): Promise<SuspendResult> {
    const saver = this.#parts.suspendSaver?.(directory);
    if (!saver) throw new Fault('internal', { what: 'A VM that was booted becomes an image, not a snapshot.' });
    const stages = await this.#save(saver);
    return { stages, bytes: await saver.bytes() };
  }

  async lives(): Promise<boolean> {
    const { process } = this.#parts;
    try {
      await process.qmp.execute('query-status');
      return true;
    } catch (error) {
      await within(dyingMs, 'The end of the VMM', process.exited).catch(() => {
        this.#endBecause({ cause: 'vmm_died', what: `It did not answer any more (${describe(error)}).` });
      });
      await this.ended;
      return false;
    }
  }

  async kill(): Promise<void> {
    this.#cause ??= { cause: 'requested', what: 'It was ended on request.' };
    await this.#parts.process.kill();
    await this.ended;
  }

  async leave(): Promise<void> {
    if (!this.#parts.suspendSaver) throw new Fault('internal', { what: 'Only a VM that was restored can be left.' });
    if (this.#saving || this.#cause)
      throw new Fault('conflict', { what: 'The VM is on its way to sleep or to its end.' });
    this.#left = true;
    this.#stall.close();
    this.#parts.process.leave();
    this.#parts.guest.close();
    this.#parts.forget?.();
  }

  onStall(listener: (stalled: boolean) => void): void {
    this.#stall.on('change', listener);
    if (this.#stall.stalled) listener(true);
  }

  async statistics(): Promise<ProcessStatistics> {
    const [statm, stat] = await Promise.all(
      ['statm', 'stat'].map((name) => readFile(`/proc/${this.pid}/${name}`, 'utf8')),
    );
    const residentPages = Number(statm?.split(' ')[1]);
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
    // Clock ticks of 10 ms: USER_HZ is 100 on every Linux that QEMU runs on.
    return { residentBytes: residentPages * 4096, cpuMs: (Number(fields[11]) + Number(fields[12])) * 10 };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  /** Every failure before the process ends leads back to a running VM; the snapshot is whole or absent. */
  async #save(saver: Saver): Promise<Record<string, number>> {
    if (this.#saving || this.#cause)
      throw new Fault('conflict', { what: 'The VM is already on its way to sleep or to its end.' });
    if (this.#stall.stalled) {
      const what =
        "The host's disk is full: the MicroVM waits for space and cannot be put to sleep. Free space on the host; it goes on then.";
      throw new Fault('capacity_exhausted', { what });
    }
    this.#saving = true;
    const stopwatch = startStopwatch();
    const { process, guest } = this.#parts;
    try {
      await guest.quiesce();
      stopwatch.lap('quiesce');
      await process.qmp.execute('stop');
      stopwatch.lap('stop');
      const committing = saver.commit(process, stopwatch);
      this.#committed = committing.then(
        () => true,
        () => false,
      );
      await committing;
    } catch (error) {
      await this.#backToLife(saver);
      throw error;
    }
    // Only now, so that at every instant a VMM lives that can go on, or a snapshot is whole. `stop` has flushed the disk's metadata, so nothing is
    // lost by an end without ceremony, which is quicker than `quit`.
    this.#cause ??= putToSleep;
    await process.kill();
    await this.ended;
    stopwatch.lap('end');
    return stopwatch.stages();
  }

  async #backToLife(saver: Saver): Promise<void> {
    this.#saving = false;
    // What cannot be removed now is only space, and goes with the next attempt.
    await saver.abandon().catch(() => {});
    const { process, guest } = this.#parts;
    try {
      await process.qmp.execute('cont');
      await guest.thaw();
    } catch (error) {
      if (!(await this.lives())) return;
      const what = `It did not go on after a failed suspend (${describe(error)}).`;
      this.#endBecause({ cause: 'guest_crashed', what });
    }
  }

  #endBecause(cause: Omit<MachineEnd, 'consoleTail'>): void {
    this.#cause ??= cause;
    void this.#parts.process.kill();
  }

  #onEvent(name: string, data: unknown): void {
    if (name === 'GUEST_PANICKED') this.#endBecause({ cause: 'guest_crashed', what: 'The guest kernel panicked.' });
    const reason = (data as { reason?: unknown } | undefined)?.reason;
    if (name === 'SHUTDOWN' && (reason === 'guest-reset' || reason === 'guest-shutdown' || reason === 'guest-panic')) {
      this.#cause ??= { cause: 'guest_crashed', what: `The guest kernel stopped (${reason}).` };
    }
  }

  async #finish(exit: VmmExit): Promise<MachineEnd> {
    if (this.#left) return new Promise(() => {});
    this.#stall.close();
    this.#parts.guest.close();
    this.#parts.process.qmp.close();
    // The image's memory stays open while a snapshot is compared with it; and a VMM that dies when its snapshot is whole was asleep.
    if (await this.#committed) this.#cause ??= putToSleep;
    await this.#parts.release();
    return { ...(this.#cause ?? { cause: 'vmm_died', what: howItDied(exit) }), consoleTail: this.#tail.text() };
  }
}

function howItDied({ exitCode, signal, errors, outOfMemory }: VmmExit): string {
  if (outOfMemory) return 'The virtual machine monitor used more memory than its limit on the host.';
  if (signal === undefined && exitCode === undefined)
    return 'The virtual machine monitor ended; an earlier server had started it, so how it ended is unknown.';
  const said = errors.trim();
  const how = signal ? `signal ${signal}` : `exit code ${exitCode}`;
  return `The virtual machine monitor ended with ${how}${said ? `: ${said}` : '.'}`;
}
