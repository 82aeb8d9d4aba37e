// Signs of use that nobody tells us of: they are found by looking, again and again, at what the host counts of a MicroVM. One object for
// each waking time, since the counters begin anew with it.
import type { IdleSignals } from '../contract/limits.ts';
import type { NodeStatistics } from '../contract/node-api.ts';

/** After so many times the usual pause between two looks, what was counted says too little of when. */
const longestPauses = 3;

export class SampledSignals {
  /** When the waking time began, as `Clock.elapsed` has it; so are all times here. */
  readonly sinceMs: number;
  /** When each was last seen. The guest may have stopped up to one look before. */
  cpuAtMs: number | undefined;
  outboundAtMs: number | undefined;
  /** When the last look was begun. */
  lookedAtMs = Number.NEGATIVE_INFINITY;
  /** The last look failed. */
  blind = false;
  #before: { atMs: number; statistics: NodeStatistics } | undefined;
  #cpuPercent = 0;

  constructor(sinceMs: number) {
    this.sinceMs = sinceMs;
  }

  /** `pauseMs`: how far apart two looks usually are. */
  add(statistics: NodeStatistics, atMs: number, pauseMs: number, { cpuPercent, outboundBytes }: IdleSignals): void {
    const before = this.#before;
    this.#before = { atMs, statistics };
    const elapsedMs = before ? atMs - before.atMs : 0;
    if (!before || elapsedMs <= 0 || elapsedMs > longestPauses * pauseMs) {
      this.#cpuPercent = 0;
      return;
    }
    const percent = (100 * (statistics.cpuMs - before.statistics.cpuMs)) / elapsedMs;
    // Half of it is the past: one burst (a collection of garbage, a timer that does much) is not use.
    this.#cpuPercent = (this.#cpuPercent + percent) / 2;
    if (cpuPercent !== undefined && this.#cpuPercent >= cpuPercent) this.cpuAtMs = atMs;
    const sentBytes = statistics.sentBytes - before.statistics.sentBytes;
    if (outboundBytes !== undefined && sentBytes >= outboundBytes) this.outboundAtMs = atMs;
  }
}
