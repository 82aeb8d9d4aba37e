// The rows of the server under test, read beside it.
import SqliteDatabase from 'better-sqlite3';

export interface VmRow {
  microvmId: string;
  state: string;
  launchedAtMs: number | null;
  terminatedAtMs: number | null;
}

export interface BuildRow {
  buildId: string;
  state: string;
  /** Of its version; a version that is being deleted keeps its row until its files are gone. */
  versionState: string | null;
}

export interface IntervalRow {
  microvmId: string;
  kind: string;
  startMs: number;
  endMs: number | null;
}

export interface Rows {
  vms: VmRow[];
  builds: BuildRow[];
  /** By MicroVM, in the order of their beginning. */
  intervals: IntervalRow[];
}

/** One consistent look. */
export function readRows(file: string): Rows {
  const db = new SqliteDatabase(file, { readonly: true, fileMustExist: true });
  try {
    const all = <T>(sql: string): T[] => db.prepare(sql).all() as T[];
    return db.transaction(() => ({
      vms: all<VmRow>(
        `select microvm_id microvmId, state, launched_at_ms launchedAtMs, terminated_at_ms terminatedAtMs from microvms`,
      ),
      builds: all<BuildRow>(
        `select build_id buildId, builds.state, image_versions.state versionState from builds
         left join image_versions using (image_arn, version)`,
      ),
      intervals: all<IntervalRow>(
        `select microvm_id microvmId, kind, start_ms startMs, end_ms endMs from usage_intervals
         order by microvm_id, start_ms, coalesce(end_ms, 9e15), rowid`,
      ),
    }))();
  } finally {
    db.close();
  }
}
