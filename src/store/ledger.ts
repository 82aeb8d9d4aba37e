// The chain over closed usage intervals: each carries the SHA-256 of the one before it and of its own columns, and the head stands in a
// row of its own, so that a changed, removed or added interval is found, also at the end.
import { createHash } from 'node:crypto';
import type { Database, UsageIntervalRow } from './tables.ts';

export interface LedgerHead {
  /** Of intervals that are closed, which is also the number of the last one. */
  count: number;
  /** 64 hexadecimal digits; zeros before the first. */
  checksum: string;
}

/** A closed interval without its place in the chain. */
export type ClosedInterval = Omit<UsageIntervalRow, 'endMs' | 'seq' | 'checksum'> & { endMs: number };

export const emptyLedger: LedgerHead = { count: 0, checksum: '0'.repeat(64) };

/** The head after one more interval. The order of the columns is part of the chain: it never changes. */
export function chained(head: LedgerHead, interval: ClosedInterval): LedgerHead {
  const { microvmId, kind, account, imageArn, memoryMib, startMs, endMs } = interval;
  const count = head.count + 1;
  const text = JSON.stringify([count, microvmId, kind, account, imageArn, memoryMib, startMs, endMs]);
  return { count, checksum: createHash('sha256').update(`${head.checksum}\n${text}`).digest('hex') };
}

/** Call inside the transaction that closes the interval. */
export async function appendToLedger(trx: Database, interval: ClosedInterval): Promise<LedgerHead> {
  const head = await ledgerHead(trx);
  const next = chained(head, interval);
  await trx.updateTable('usageLedger').set(next).execute();
  return next;
}

export const ledgerHead = (db: Database): Promise<LedgerHead> =>
  db.selectFrom('usageLedger').select(['count', 'checksum']).executeTakeFirstOrThrow();
