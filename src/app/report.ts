// Stage times and facts of the last launch, wake and suspend of a MicroVM, and why it slept last, for the extension API.
import type { LaunchReport, StageTimes, SuspendReport } from '../contract/node-api.ts';
import { fromJson, type Json, toJson } from '../store/json.ts';
import type { MicrovmRow } from '../store/tables.ts';
import type { SleepRecord } from './sleep-record.ts';

/** A MicroVM went on from an older snapshot, because its VM was lost with what it had done since. */
export interface WentBack {
  /** ISO 8601, as `savedAt`: when that was noticed, and when the snapshot had been taken. */
  at: string;
  to: string;
  /** Sentences. */
  why: string;
  /** How often it has happened to it so far. */
  times: number;
}

export interface MicrovmReport {
  launch?: StageTimes;
  wake?: StageTimes;
  suspend?: StageTimes;
  asleepBytes?: number;
  /** When its last snapshot was taken, ISO 8601. */
  savedAt?: string;
  /** Number of the snapshot that it runs, or ran last, from; 0: its image. A snapshot of the host with a higher number holds all that it has done. */
  fromSnapshot?: number;
  /** Of the last suspend. */
  sleep?: SleepRecord;
  /** The last time; absent when it never did. */
  wentBack?: WentBack;
  accelerator?: string;
  repaired?: string[];
}

export const readReport = (row: MicrovmRow): MicrovmReport => fromJson(row.report as Json<MicrovmReport>);

/** Without a report when the host was found to run it already. */
export function withLaunch(
  row: MicrovmRow,
  kind: 'launch' | 'wake',
  fromSnapshot: number,
  report?: LaunchReport,
): Json<unknown> {
  const { stages, accelerator, repaired } = report ?? {};
  const measured = report ? { [kind]: stages, accelerator, repaired } : {};
  return toJson({ ...readReport(row), fromSnapshot, ...measured });
}

/** It sleeps as it was saved before: nobody could save it any more. `why`: sentences. */
export function withRestart(row: MicrovmRow, nowMs: number, why: string): Json<unknown> {
  const [before, at] = [readReport(row), new Date(nowMs).toISOString()];
  const { savedAt: to = '', wentBack: { times = 0 } = {} } = before;
  return toJson({ ...before, sleep: { cause: 'restart', at }, wentBack: { at, to, why, times: times + 1 } });
}

/** Why what it runs is older than what it had done; null when that is not so. */
export function whyBack(row: MicrovmRow): string | null {
  const { sleep, wentBack } = readReport(row);
  return sleep?.cause === 'restart' ? (wentBack?.why ?? null) : null;
}

/** Without a report when the host was found to have it asleep already. */
export function withSuspend(row: MicrovmRow, sleep: SleepRecord, report?: SuspendReport): Json<unknown> {
  const stages = report ? { suspend: report.stages, asleepBytes: report.asleepBytes } : {};
  return toJson({ ...readReport(row), ...stages, sleep, savedAt: sleep.at });
}
