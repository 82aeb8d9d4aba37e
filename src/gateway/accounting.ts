// What one gateway writes down of its work: the access log, counters, and who is under way.
import type { MicrovmOwner } from '../contract/data-plane.ts';
import type { Traffic } from '../contract/traffic.ts';
import type { Clock } from '../lib/clock.ts';
import { openLineFile } from '../lib/line-file.ts';
import type { Log } from '../lib/log.ts';
import { accessLine } from './access-line.ts';
import type { OnAnswered } from './access-log.ts';
import { Admitted } from './admitted.ts';
import type { TokenTrust } from './token-trust.ts';
import { TrafficCounter } from './traffic-counter.ts';

export interface AccountingDependencies {
  trust: TokenTrust;
  /** Undefined for a MicroVM that does not exist (any more). */
  ownerOf(microvmId: string): MicrovmOwner | undefined;
  /** Path of the access log, `-` for standard output; none without it. */
  accessLog?: string | undefined;
  clock: Clock;
  log: Log;
}

export interface Accounting extends AsyncDisposable {
  readonly admitted: Admitted;
  readonly onAnswered: OnAnswered;
  /** Connections are the gateway's to know. */
  snapshot(connections: number): Traffic;
  /** To be called when a MicroVM has ended. */
  forget(microvmId: string): void;
  /** After the access log was moved away. */
  reopenLog(): void;
}

/** Rejects with `invalid_input` when the access log cannot be written. */
export async function openAccounting(dependencies: AccountingDependencies): Promise<Accounting> {
  const { trust, ownerOf, accessLog, clock, log } = dependencies;
  const lines = accessLog === undefined ? undefined : await openLineFile(accessLog, { clock, log });
  const admitted = new Admitted(trust);
  const counter = new TrafficCounter((microvmId) => ownerOf(microvmId) !== undefined);
  return {
    admitted,
    onAnswered(record) {
      counter.count(record);
      if (lines)
        lines.write(accessLine(record, record.microvmId === undefined ? undefined : ownerOf(record.microvmId)));
    },
    snapshot: (connections) => ({
      ...counter.snapshot(admitted.openNow()),
      ...{ connections, lostLines: lines?.lost ?? 0 },
    }),
    forget: (microvmId) => counter.forget(microvmId),
    reopenLog: () => lines?.reopen(),
    [Symbol.asyncDispose]: async () => lines?.[Symbol.asyncDispose](),
  };
}
