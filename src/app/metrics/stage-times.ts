// How long launches, wakes and suspends took by stage, since the start; and how often each MicroVM woke and slept.
import type { StageTimes } from '../../contract/node-api.ts';
import { type Histogram, newHistogram, observe } from '../../lib/histogram.ts';

export type Act = 'launch' | 'wake' | 'suspend';

export interface ActCounts {
  wakes: number;
  suspends: number;
}

/** The host names the stages; what it might invent beyond that is not kept. */
const maxStages = 64;

export class StageMetrics {
  /** By act, then by stage. */
  readonly byStage = new Map<Act, Map<string, Histogram>>();
  /** Of whole acts. */
  readonly whole = new Map<Act, Histogram>();
  readonly #byMicrovm = new Map<string, ActCounts>();

  record(microvmId: string, act: Act, stages: StageTimes): void {
    const times = Object.entries(stages);
    const known = entry(this.byStage, act, () => new Map<string, Histogram>());
    for (const [stage, ms] of times) {
      if (known.has(stage) || known.size < maxStages) observe(entry(known, stage, newHistogram), ms / 1000);
    }
    observe(entry(this.whole, act, newHistogram), times.reduce((sum, [, ms]) => sum + ms, 0) / 1000);
    if (act === 'launch') return;
    const counts = entry(this.#byMicrovm, microvmId, () => ({ wakes: 0, suspends: 0 }));
    counts[act === 'wake' ? 'wakes' : 'suspends'] += 1;
  }

  of(microvmId: string): ActCounts {
    return this.#byMicrovm.get(microvmId) ?? { wakes: 0, suspends: 0 };
  }

  /** To be called when it has ended. */
  forget(microvmId: string): void {
    this.#byMicrovm.delete(microvmId);
  }
}

function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const fresh = make();
  map.set(key, fresh);
  return fresh;
}
