// Every MicroVM that has not ended, in memory: its row as last written, and what is known only while the process lives.
import type { Fault } from '../lib/errors.ts';
import type { MicrovmRow } from '../store/tables.ts';
import { SampledSignals } from './sampled-signals.ts';

export interface LiveMicrovm {
  /** Latest row; written by `changeState` and by nothing else. */
  row: MicrovmRow;
  /** Raised by every sign of activity. */
  activity: number;
  /** Value of `activity` at which the idle policy decided to suspend. */
  idleAtActivity: number;
  inFlight: number;
  lastActivityMs: number;
  /** Of the waking time it is in, or was in last. */
  sampled: SampledSignals;
  /** The act under way. */
  worker: Promise<void> | undefined;
  /** The wake under way, however many requests wait for it. */
  wake: Promise<void> | undefined;
  /** Why the last wake failed. */
  wakeFault: Fault | undefined;
  /** No act before this time. */
  retryAtMs: number;
  /** No suspend by the idle policy before this time; the pause doubles with each failure. */
  idleRetryAtMs: number;
  failedSuspends: number;
}

/** How many ended MicroVMs are remembered, so that their hosts are not unknown at once. */
const endedKept = 1000;

export class MicrovmIndex {
  readonly #byId = new Map<string, LiveMicrovm>();
  readonly #byHost = new Map<string, LiveMicrovm>();
  readonly #ended: LiveMicrovm[] = [];

  add(row: MicrovmRow, nowMs: number): LiveMicrovm {
    const vm: LiveMicrovm = {
      row,
      activity: 0,
      idleAtActivity: 0,
      inFlight: 0,
      lastActivityMs: nowMs,
      sampled: new SampledSignals(nowMs),
      worker: undefined,
      wake: undefined,
      wakeFault: undefined,
      retryAtMs: 0,
      idleRetryAtMs: 0,
      failedSuspends: 0,
    };
    this.#byId.set(row.microvmId, vm);
    this.#byHost.set(row.host, vm);
    return vm;
  }

  /** Undefined for one that has ended. */
  get(microvmId: string): LiveMicrovm | undefined {
    return this.#byId.get(microvmId);
  }

  /** Finds those that ended lately, too. */
  byHost(host: string): LiveMicrovm | undefined {
    return this.#byHost.get(host);
  }

  all(): LiveMicrovm[] {
    return [...this.#byId.values()];
  }

  /** To be called when it has ended; its host stays known for a while. */
  retire(vm: LiveMicrovm): void {
    this.#byId.delete(vm.row.microvmId);
    this.#ended.push(vm);
    const oldest = this.#ended.length > endedKept ? this.#ended.shift() : undefined;
    if (oldest) this.#byHost.delete(oldest.row.host);
  }
}
