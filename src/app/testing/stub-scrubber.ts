// A scrubber that finds what it is told, for tests.
import type { Damage, Scrubber } from '../../contract/integrity.ts';

export interface StubScrubber extends Scrubber {
  damage: Damage[];
  /** Paces that were asked for. */
  readonly asked: (number | undefined)[];
}

export function stubScrubber(): StubScrubber {
  const stub: StubScrubber = {
    damage: [],
    asked: [],
    status: () => ({ everyDays: 7, mibPerSecond: 20, damage: stub.damage }),
    damageOf: ({ microvmId, buildId }) =>
      stub.damage.filter((one) => one.microvmId === (microvmId ?? '') || one.buildId === (buildId ?? '')),
    start: (mibPerSecond) => void stub.asked.push(mibPerSecond),
    startWhenDue: () => false,
  };
  return stub;
}
