// Stage times and facts of the last launch, wake and suspend of a MicroVM, and why it slept last, for the extension API.
import type { LaunchReport, StageTimes, SuspendReport } from '../contract/node-api.ts';
import { fromJson, type Json, toJson } from '../store/json.ts';
import type { MicrovmRow } from '../store/tables.ts';
import type { SleepRecord } from './sleep-record.ts';

export interface MicrovmReport {
  launch?: StageTimes;
  wake?: StageTimes;
  suspend?: StageTimes;
  asleepBytes?: number;
  /** Of the last suspend. */
  sleep?: SleepRecord;
  accelerator?: string;
  repaired?: string[];
}

export const readReport = (row: MicrovmRow): MicrovmReport => fromJson(row.report as Json<MicrovmReport>);

export function withLaunch(row: MicrovmRow, kind: 'launch' | 'wake', report: LaunchReport | undefined): Json<unknown> {
  if (!report) return row.report;
  const { stages, accelerator, repaired } = report;
  return toJson({ ...readReport(row), [kind]: stages, accelerator, repaired });
}

/** Without a report when the host was found to have it asleep already. */
export function withSuspend(row: MicrovmRow, sleep: SleepRecord, report?: SuspendReport): Json<unknown> {
  const stages = report ? { suspend: report.stages, asleepBytes: report.asleepBytes } : {};
  return toJson({ ...readReport(row), ...stages, sleep });
}
