// What the rows of a database say must be among the files beside it.
import SqliteDatabase from 'better-sqlite3';
import type { MicrovmState } from '../contract/states.ts';

export interface RowPromises {
  /** Versions that may be launched. */
  images: { buildId: string; imageArn: string; version: string }[];
  /** All that have not ended. */
  microvms: { microvmId: string; state: MicrovmState }[];
}

/** Of a database that nobody uses. Leaves no file beside it. */
export function readPromises(path: string): RowPromises {
  const sqlite = new SqliteDatabase(path, { readonly: true, fileMustExist: true });
  try {
    const images = sqlite.prepare<[], RowPromises['images'][number]>(
      `select build_id as "buildId", builds.image_arn as "imageArn", builds.version from builds
       join image_versions using (image_arn, version)
       where builds.state = 'SUCCESSFUL' and image_versions.state = 'SUCCESSFUL' order by build_id`,
    );
    const microvms = sqlite.prepare<[], RowPromises['microvms'][number]>(
      `select microvm_id as "microvmId", state from microvms
       where state not in ('TERMINATING', 'TERMINATED') and not (state = 'PENDING' and launched_at_ms is null)
       order by microvm_id`,
    );
    return { images: images.all(), microvms: microvms.all() };
  } finally {
    sqlite.close();
  }
}
