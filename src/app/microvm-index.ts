// Every MicroVM that has not ended, in memory: its row as last written, and what is known only while the process lives.
import type { WakingTime } from '../contract/data-plane.ts';
import { Signs } from '../contract/signs.ts';
import type { Fault } from '../lib/errors.ts';
import type { MicrovmRow } from '../store/tables.ts';
import { SampledSignals } from './sampled-signals.ts';

export interface LiveMicrovm {
  /** Latest row; written by `changeState` and by nothing else. */
  row: MicrovmRow;
  /** After a start: nobody knows yet what its host has of it. `recover` finds out. */
  isRecovering: boolean;
  /** Shared with the gateway's threads, which count its requests in them. */
  readonly signs: Signs;
  /** Value of `signs.activity` at which the idle policy decided to suspend. */
  idleAtActivity: number;
  /** How often it woke in this server's time. */
  wakingTimes: number;
  /** What the gateway was told; undefined when connections to it are, or have been, dropped. */
  waking: WakingTime | undefined;
  /** Of the waking time it is in, or was in last. */
  sampled: SampledSignals;
  /** The act under way. */
  worker: Promise<void> | undefined;
  /** The wake under way, however many requests wait for it. */
  wake: Promise<void> | undefined;
  /** Why the last wake failed. */
  wakeFault: Fault | undefined;
  /** Why its VM is gone, as its host has told, while a snapshot of it is left; undefined once that is recorded. */
  loss: string | undefined;
  /** Why the last act could not be recorded; undefined when it was. */
  unrecorded: Fault | undefined;
  /** No act before this time, as `Clock.elapsed` has it. */
  retryAtMs: number;
  /** No suspend by the idle policy before this time, likewise; the pause doubles with each failure. */
  idleRetryAtMs: number;
  failedSuspends: number;
}

/** How many ended MicroVMs are remembered, so that their hosts are not unknown at once. */
const endedKept = 1000;

export class MicrovmIndex {
  readonly #byId = new Map<string, LiveMicrovm>();
  readonly #ended: LiveMicrovm[] = [];

  /** `elapsedMs`: of the clock, now. */
  add(row: MicrovmRow, elapsedMs: number): LiveMicrovm {
    const vm: LiveMicrovm = {
      row,
      isRecovering: false,
      signs: new Signs(),
      idleAtActivity: 0,
      wakingTimes: 0,
      waking: undefined,
      sampled: new SampledSignals(elapsedMs),
      worker: undefined,
      wake: undefined,
      wakeFault: undefined,
      loss: undefined,
      unrecorded: undefined,
      retryAtMs: 0,
      idleRetryAtMs: 0,
      failedSuspends: 0,
    };
    this.#byId.set(row.microvmId, vm);
    return vm;
  }

  /** Undefined for one that has ended. */
  get(microvmId: string): LiveMicrovm | undefined {
    return this.#byId.get(microvmId);
  }

  all(): LiveMicrovm[] {
    return [...this.#byId.values()];
  }

  /** Those that ended lately, too. */
  known(): LiveMicrovm[] {
    return [...this.#ended, ...this.#byId.values()];
  }

  /** To be called when it has ended; its host stays known for a while. Returns the one that is forgotten in its place. */
  retire(vm: LiveMicrovm): LiveMicrovm | undefined {
    this.#byId.delete(vm.row.microvmId);
    this.#ended.push(vm);
    return this.#ended.length > endedKept ? this.#ended.shift() : undefined;
  }
}
