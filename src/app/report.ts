// Stage times and facts of the last launch, wake and suspend of a MicroVM, for the extension API.
import type { LaunchReport, StageTimes, SuspendReport } from '../contract/node-api.ts';
import { fromJson, type Json, toJson } from '../store/json.ts';
import type { MicrovmRow } from '../store/tables.ts';

export interface MicrovmReport {
  launch?: StageTimes;
  wake?: StageTimes;
  suspend?: StageTimes;
  asleepBytes?: number;
  accelerator?: string;
  repaired?: string[];
}

export const readReport = (row: MicrovmRow): MicrovmReport => fromJson(row.report as Json<MicrovmReport>);

export function withLaunch(row: MicrovmRow, kind: 'launch' | 'wake', report: LaunchReport | undefined): Json<unknown> {
  if (!report) return row.report;
  const { stages, accelerator, repaired } = report;
  return toJson({ ...readReport(row), [kind]: stages, accelerator, repaired });
}

export function withSuspend(row: MicrovmRow, report: SuspendReport | undefined): Json<unknown> {
  if (!report) return row.report;
  return toJson({ ...readReport(row), suspend: report.stages, asleepBytes: report.asleepBytes });
}
