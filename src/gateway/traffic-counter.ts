// Counts what one gateway does. Plain numbers in memory; nothing is shared between gateways.
import { type Counts, newCounts, newTraffic, type OpenNow, place, type Traffic } from '../contract/traffic.ts';
import { observe } from '../lib/histogram.ts';
import type { AccessRecord } from './access-log.ts';

const nothingOpen: OpenNow = { requests: 0, webSockets: 0 };

export class TrafficCounter {
  readonly #traffic: Traffic = newTraffic();
  readonly #byMicrovm = new Map<string, Counts>();
  readonly #exists: (microvmId: string) => boolean;

  /** What does not exist (any more) gets no numbers of its own. */
  constructor(exists: (microvmId: string) => boolean) {
    this.#exists = exists;
  }

  count(record: AccessRecord): void {
    const { microvmId, refusal, end, durationMs, wakeMs } = record;
    const { total, duration, held, refusals } = this.#traffic;
    add(total, record);
    const own = microvmId === undefined ? undefined : this.#of(microvmId);
    if (own) add(own, record);
    if (end !== 'switched') observe(duration, durationMs / 1000);
    if (wakeMs > 0) observe(held, wakeMs / 1000);
    if (refusal !== undefined) refusals.set(refusal, (refusals.get(refusal) ?? 0) + 1);
  }

  forget(microvmId: string): void {
    this.#byMicrovm.delete(microvmId);
  }

  /** A copy; `open` is what is under way now. */
  snapshot(open: ReadonlyMap<string, OpenNow>): Traffic {
    const names = new Set([...this.#byMicrovm.keys(), ...open.keys()]);
    const byMicrovm = [...names].map((name) => {
      const one = { counts: this.#byMicrovm.get(name) ?? newCounts(), open: open.get(name) ?? nothingOpen };
      return [name, one] as const;
    });
    return structuredClone({ ...this.#traffic, byMicrovm: new Map(byMicrovm) });
  }

  #of(microvmId: string): Counts | undefined {
    const known = this.#byMicrovm.get(microvmId);
    if (known || !this.#exists(microvmId)) return known;
    const fresh = newCounts();
    this.#byMicrovm.set(microvmId, fresh);
    return fresh;
  }
}

function add(counts: Counts, { status, bytesIn, bytesOut, end, durationMs, wakeMs }: AccessRecord): void {
  const by = (at: number, amount: number): void => {
    counts[at] = (counts[at] ?? 0) + amount;
  };
  by(status === undefined ? 0 : Math.min(5, Math.trunc(status / 100)), 1);
  by(place.bytesIn, bytesIn);
  by(place.bytesOut, bytesOut);
  if (end === 'switched') by(place.webSockets, 1);
  else by(place.requestSeconds, durationMs / 1000);
  if (wakeMs === 0) return;
  by(place.held, 1);
  by(place.heldSeconds, wakeMs / 1000);
}
