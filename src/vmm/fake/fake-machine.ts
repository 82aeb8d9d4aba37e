// A fake VM that runs: the rules of a real one (what may be called when, what is left after a failure) without a process.
import { rm } from 'node:fs/promises';
import type { ProcessStatistics } from '../../contract/node-api.ts';
import { Fault } from '../../lib/errors.ts';
import { startStopwatch } from '../../lib/stopwatch.ts';
import type { CpuShare, ImageSizes, Machine, MachineEnd, SuspendResult } from '../driver.ts';
import type { FakeApp } from './fake-app.ts';
import type { FakeGuest } from './fake-guest.ts';
import { endOrphan, type FakeVm, orphan } from './orphans.ts';
import { appScript } from './script.ts';
import { type Content, writeImage, writeSnapshot } from './snapshot-files.ts';

const keptTailCharacters = 16 << 10;

/** Of whoever holds the VM. */
export interface FakeHolder {
  onConsole: ((text: Buffer) => void) | undefined;
  /** Waits as long as a real suspend would. */
  suspendDelay: () => Promise<void>;
  onEnd: () => void;
}

export class FakeMachine implements Machine {
  readonly ended: Promise<MachineEnd>;
  stages: Record<string, number> = {};
  repaired: string[] = [];
  readonly #vm: FakeVm;
  readonly #holder: FakeHolder;
  readonly #resolveEnded: (end: MachineEnd) => void;
  #tail = '';
  readonly #stallListeners: ((stalled: boolean) => void)[] = [];
  #stalled = false;
  #saving = false;
  #writing: Promise<unknown> | undefined;
  #left = false;
  #ending: Promise<void> | undefined;

  constructor(vm: FakeVm, holder: FakeHolder) {
    this.#vm = vm;
    this.#holder = holder;
    const { promise, resolve } = Promise.withResolvers<MachineEnd>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    const exited = (exitCode: number): void => {
      const what = `Container Stopped with Exit Code: ${exitCode}`;
      void this.#end({ cause: 'application_exited', what, exitCode });
    };
    vm.app.tell({ print: (text) => this.#print(text), exited });
    if (vm.exitCode !== undefined) exited(vm.exitCode);
  }

  get app(): FakeApp {
    return this.#vm.app;
  }

  get guest(): FakeGuest {
    return this.#vm.guest;
  }

  /** As it was ordered. */
  get cpu(): CpuShare | undefined {
    return this.#vm.cpu;
  }

  get pid(): number {
    return this.#vm.pid;
  }

  async saveImage(): Promise<ImageSizes> {
    const { image } = this.#vm;
    if (image === undefined) throw new Fault('internal', { what: 'Only a VM that was booted can become an image.' });
    const { bytes, stages } = await this.#save((content) => writeImage(image, content));
    return { memoryBytes: bytes, diskBytes: 0, stages };
  }

  async suspend(directory: string): Promise<SuspendResult> {
    const { base } = this.#vm;
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

  async lives(): Promise<boolean> {
    if (!this.#ending) return true;
    await this.ended;
    return false;
  }

  async kill(): Promise<void> {
    if (this.#left) return;
    await this.#end({ cause: 'requested', what: 'It was ended on request.' });
  }

  /** For tests: the VMM dies, as from `kill -9`, whoever holds it. */
  async die(): Promise<void> {
    if (this.#left) return endOrphan(this.#vm.runDirectory);
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

  async leave(): Promise<void> {
    if (this.#vm.base === undefined) throw new Fault('internal', { what: 'Only a VM that was restored can be left.' });
    if (this.#saving || this.#ending)
      throw new Fault('conflict', { what: 'The VM is on its way to sleep or to its end.' });
    await this.abandon();
  }

  /** The server is gone in the middle of whatever it did. Resolves when nothing is being written any more. */
  async abandon(): Promise<void> {
    if (this.#ending || this.#left) return;
    this.#left = true;
    const { runDirectory, pid } = this.#vm;
    orphan(runDirectory, { pid, vm: this.#vm });
    this.#holder.onEnd();
    await this.#writing;
  }

  onStall(listener: (stalled: boolean) => void): void {
    this.#stallListeners.push(listener);
  }

  async statistics(): Promise<ProcessStatistics> {
    if (this.#ending) throw new Fault('vmm_failed', { what: 'is gone' });
    return { residentBytes: this.#vm.memoryMib * 2 ** 20, cpuMs: 0 };
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
    const { app, memoryMib, vcpus } = this.#vm;
    const stopwatch = startStopwatch();
    try {
      app.freeze();
      stopwatch.lap('quiesce');
      await this.#held(this.#holder.suspendDelay());
      if (this.#ending) throw new Fault('vmm_failed', { what: 'died while it was suspended' });
      const writing = write({ state: app.state, memoryMib, vcpus });
      this.#writing = writing.catch(() => {});
      const bytes = await this.#held(writing);
      stopwatch.lap('commit');
      await this.#end({ cause: 'requested', what: 'It was put to sleep.' });
      return { bytes, stages: stopwatch.stages() };
    } catch (error) {
      this.#saving = false;
      app.thaw();
      throw error;
    }
  }

  /** Settles as `work` does, or never when the server is gone by then. */
  async #held<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      if (this.#left) await new Promise(() => {});
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
    await rm(this.#vm.runDirectory, { recursive: true, force: true }).catch(() => {});
    this.#holder.onEnd();
    this.#resolveEnded({ ...end, consoleTail: this.#tail });
  }

  #print(text: string): void {
    this.#tail = (this.#tail + text).slice(-keptTailCharacters);
    this.#holder.onConsole?.(Buffer.from(text));
  }
}
