// A fake VM that runs: the rules of a real one (what may be called when, what is left after a failure) without a process.
import { rm } from 'node:fs/promises';
import type { ProcessStatistics } from '../../contract/node-api.ts';
import type { Clock } from '../../lib/clock.ts';
import { Fault } from '../../lib/errors.ts';
import { startStopwatch } from '../../lib/stopwatch.ts';
import type { CpuShare, ImageSizes, Machine, MachineEnd, SuspendResult } from '../driver.ts';
import type { AppState } from './app-state.ts';
import { FakeApp } from './fake-app.ts';
import { FakeGuest } from './fake-guest.ts';
import { appScript } from './script.ts';
import { type Content, writeImage, writeSnapshot } from './snapshot-files.ts';

const keptTailCharacters = 16 << 10;

export interface FakeMachineParts {
  pid: number;
  clock: Clock;
  state: AppState;
  memoryMib: number;
  vcpus: number;
  runDirectory: string;
  cpu: CpuShare | undefined;
  onConsole: ((text: Buffer) => void) | undefined;
  /** A booted VM becomes an image here. */
  image: string | undefined;
  /** A restored VM sleeps as what differs from the image with this id. */
  base: string | undefined;
  /** Waits as long as a real suspend would. */
  suspendDelay: () => Promise<void>;
  onEnd: () => void;
}

export class FakeMachine implements Machine {
  readonly guest: FakeGuest;
  readonly app: FakeApp;
  readonly ended: Promise<MachineEnd>;
  stages: Record<string, number> = {};
  repaired: string[] = [];
  readonly #parts: FakeMachineParts;
  readonly #resolveEnded: (end: MachineEnd) => void;
  #tail = '';
  readonly #stallListeners: ((stalled: boolean) => void)[] = [];
  #stalled = false;
  #saving = false;
  #ending: Promise<void> | undefined;

  constructor(parts: FakeMachineParts) {
    this.#parts = parts;
    this.app = new FakeApp(parts.state, parts.clock, {
      print: (text) => this.#print(text),
      exited: (exitCode) => {
        void this.#end({
          cause: 'application_exited',
          what: `Container Stopped with Exit Code: ${exitCode}`,
          exitCode,
        });
      },
    });
    this.guest = new FakeGuest(this.app, parts.clock);
    const { promise, resolve } = Promise.withResolvers<MachineEnd>();
    this.ended = promise;
    this.#resolveEnded = resolve;
  }

  /** As it was ordered. */
  get cpu(): CpuShare | undefined {
    return this.#parts.cpu;
  }

  get pid(): number {
    return this.#parts.pid;
  }

  async saveImage(): Promise<ImageSizes> {
    const { image } = this.#parts;
    if (image === undefined) throw new Fault('internal', { what: 'Only a VM that was booted can become an image.' });
    const { bytes, stages } = await this.#save((content) => writeImage(image, content));
    return { memoryBytes: bytes, diskBytes: 0, stages };
  }

  async suspend(directory: string): Promise<SuspendResult> {
    const { base } = this.#parts;
    if (base === undefined)
      throw new Fault('internal', { what: 'A VM that was booted becomes an image, not a snapshot.' });
    return this.#save(async (content) => {
      const { state } = content;
      if (state.failedSuspends < appScript(state.environment).suspendFailures) {
        state.failedSuspends += 1;
        throw new Fault('vmm_failed', { what: 'failed to suspend, as its script says' });
      }
      return writeSnapshot(directory, content, base);
    });
  }

  async kill(): Promise<void> {
    await this.#end({ cause: 'requested', what: 'It was ended on request.' });
  }

  /** For tests: the VMM dies, as from `kill -9`. */
  async die(): Promise<void> {
    await this.#end({ cause: 'vmm_died', what: 'The virtual machine monitor ended with signal SIGKILL.' });
  }

  /** For tests: the kernel of the guest panics. */
  async panic(): Promise<void> {
    await this.#end({ cause: 'guest_crashed', what: 'The guest kernel panicked.' });
  }

  /** For tests: the host's disk is full, or has room again. */
  stall(stalled: boolean): void {
    this.#stalled = stalled;
    for (const listener of this.#stallListeners) listener(stalled);
  }

  leave(): Promise<void> {
    return this.kill();
  }

  onStall(listener: (stalled: boolean) => void): void {
    this.#stallListeners.push(listener);
  }

  async statistics(): Promise<ProcessStatistics> {
    if (this.#ending) throw new Fault('vmm_failed', { what: 'is gone' });
    return { residentBytes: this.#parts.memoryMib * 2 ** 20, cpuMs: 0 };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.kill();
  }

  /** Every failure leads back to a running VM; the snapshot is whole or absent. */
  async #save(write: (content: Content) => Promise<number>) {
    if (this.#saving || this.#ending)
      throw new Fault('conflict', { what: 'The VM is already on its way to sleep or to its end.' });
    if (this.#stalled) throw new Fault('capacity_exhausted', { what: "The host's disk is full." });
    this.#saving = true;
    const { state, memoryMib, vcpus, suspendDelay } = this.#parts;
    const stopwatch = startStopwatch();
    try {
      this.app.freeze();
      stopwatch.lap('quiesce');
      await suspendDelay();
      if (this.#ending) throw new Fault('vmm_failed', { what: 'died while it was suspended' });
      const bytes = await write({ state, memoryMib, vcpus });
      stopwatch.lap('commit');
      await this.#end({ cause: 'requested', what: 'It was put to sleep.' });
      return { bytes, stages: stopwatch.stages() };
    } catch (error) {
      this.#saving = false;
      this.app.thaw();
      throw error;
    }
  }

  /** The first cause counts. */
  #end(end: Omit<MachineEnd, 'consoleTail'>): Promise<void> {
    this.#ending ??= this.#finish(end);
    return this.#ending;
  }

  async #finish(end: Omit<MachineEnd, 'consoleTail'>): Promise<void> {
    this.app.stop();
    this.guest.leave();
    await rm(this.#parts.runDirectory, { recursive: true, force: true }).catch(() => {});
    this.#parts.onEnd();
    this.#resolveEnded({ ...end, consoleTail: this.#tail });
  }

  #print(text: string): void {
    this.#tail = (this.#tail + text).slice(-keptTailCharacters);
    this.#parts.onConsole?.(Buffer.from(text));
  }
}
