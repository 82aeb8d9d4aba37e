// What the rows say should exist on hosts, read in one go.
import { inTransaction } from './open-store.ts';
import type { BuildRow, Database, ImageVersionRow, MicrovmRow } from './tables.ts';

export interface ExpectedBuild extends Pick<BuildRow, 'buildId' | 'imageArn' | 'version' | 'account' | 'endedAtMs'> {
  state: BuildRow['state'];
  versionState: ImageVersionRow['state'];
  versionStatus: ImageVersionRow['status'];
}

export interface Expected {
  builds: ReadonlyMap<string, ExpectedBuild>;
  /** Rows of MicroVMs that have not ended. */
  live: ReadonlyMap<string, MicrovmRow>;
  /** Accounts that have images. */
  accounts: ReadonlySet<string>;
}

export function readExpected(db: Database): Promise<Expected> {
  return inTransaction(db, async (trx) => {
    const builds = await trx
      .selectFrom('builds')
      .innerJoin('imageVersions as v', (join) =>
        join.onRef('v.imageArn', '=', 'builds.imageArn').onRef('v.version', '=', 'builds.version'),
      )
      .select(['buildId', 'builds.imageArn', 'builds.version', 'account', 'endedAtMs', 'builds.state'])
      .select(['v.state as versionState', 'v.status as versionStatus'])
      .execute();
    const live = await trx.selectFrom('microvms').selectAll().where('state', '<>', 'TERMINATED').execute();
    const images = await trx.selectFrom('images').select('account').distinct().execute();
    return {
      builds: new Map(builds.map((build) => [build.buildId, build])),
      live: new Map(live.map((row) => [row.microvmId, row])),
      accounts: new Set(images.map(({ account }) => account)),
    };
  });
}

/** Which of these MicroVMs have a row, ended or not. */
export async function knownMicrovms(db: Database, ids: readonly string[]): Promise<ReadonlySet<string>> {
  const known = new Set<string>();
  // SQLite takes some ten thousand parameters; there are never so many at a time here.
  for (let i = 0; i < ids.length; i += 500) {
    const some = ids.slice(i, i + 500);
    const rows = await db.selectFrom('microvms').select('microvmId').where('microvmId', 'in', some).execute();
    for (const { microvmId } of rows) known.add(microvmId);
  }
  return known;
}
