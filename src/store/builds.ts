// Builds of image versions.
import { buildTransitions, sourcesOf } from '../contract/states.ts';
import { Fault } from '../lib/errors.ts';
import type { BuildRow, Database } from './tables.ts';

export const findBuild = (db: Database, buildId: string): Promise<BuildRow | undefined> =>
  db.selectFrom('builds').selectAll().where('buildId', '=', buildId).executeTakeFirst();

/** Builds of one version, or of all versions of an image; oldest first. */
export function listBuilds(db: Database, imageArn: string, version?: string): Promise<BuildRow[]> {
  let select = db.selectFrom('builds').selectAll().where('imageArn', '=', imageArn);
  if (version !== undefined) select = select.where('version', '=', version);
  return select.orderBy('createdAtMs').orderBy('buildId').execute();
}

/** Builds that have not ended, of one account or of all. */
export const listOpenBuilds = (db: Database, account?: string): Promise<BuildRow[]> =>
  db
    .selectFrom('builds')
    .selectAll()
    .where('endedAtMs', 'is', null)
    .$if(account !== undefined, (query) => query.where('account', '=', account ?? ''))
    .orderBy('createdAtMs')
    .execute();

export async function insertBuild(db: Database, row: BuildRow): Promise<void> {
  await db.insertInto('builds').values(row).execute();
}

/** Rejects with `internal` when the change of state is not a legal one. */
export async function changeBuild(db: Database, buildId: string, change: Partial<BuildRow>): Promise<void> {
  const { state } = change;
  let update = db.updateTable('builds').set(change).where('buildId', '=', buildId);
  if (state !== undefined) update = update.where('state', 'in', sourcesOf(buildTransitions, state));
  const { numUpdatedRows } = await update.executeTakeFirstOrThrow();
  if (numUpdatedRows !== 1n) throw new Fault('internal', { what: `Build ${buildId} cannot become ${state}.` });
}
