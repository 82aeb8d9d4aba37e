// Versions of images. A state changes only as the table of legal changes says, and only a SUCCESSFUL version is ever ACTIVE.
import { imageVersionTransitions, sourcesOf } from '../contract/states.ts';
import { Fault } from '../lib/errors.ts';
import { inTransaction } from './open-store.ts';
import type { Database, ImageVersionRow } from './tables.ts';

type VersionKey = Pick<ImageVersionRow, 'imageArn' | 'version'>;

export const findImageVersion = (
  db: Database,
  imageArn: string,
  version: string,
): Promise<ImageVersionRow | undefined> =>
  db
    .selectFrom('imageVersions')
    .selectAll()
    .where('imageArn', '=', imageArn)
    .where('version', '=', version)
    .executeTakeFirst();

/** The newest version that may be launched. */
export const findLatestActiveVersion = (db: Database, imageArn: string): Promise<ImageVersionRow | undefined> =>
  db
    .selectFrom('imageVersions')
    .selectAll()
    .where('imageArn', '=', imageArn)
    .where('status', '=', 'ACTIVE')
    .where('state', '=', 'SUCCESSFUL')
    .orderBy('ordinal', 'desc')
    .limit(1)
    .executeTakeFirst();

export async function countImageVersions(db: Database, imageArn: string): Promise<number> {
  const { count } = await db
    .selectFrom('imageVersions')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('imageArn', '=', imageArn)
    .executeTakeFirstOrThrow();
  return count;
}

/** Newest first; `below` is the number of the last one of the page before. */
export function listImageVersions(
  db: Database,
  { imageArn, below, limit }: { imageArn: string; below?: number | undefined; limit?: number },
): Promise<ImageVersionRow[]> {
  let select = db.selectFrom('imageVersions').selectAll().where('imageArn', '=', imageArn);
  if (below !== undefined) select = select.where('ordinal', '<', below);
  if (limit !== undefined) select = select.limit(limit);
  return select.orderBy('ordinal', 'desc').execute();
}

/** Those that are deleted by themselves, not with their image. */
export const listVersionsBeingDeleted = (db: Database): Promise<ImageVersionRow[]> =>
  db
    .selectFrom('imageVersions')
    .innerJoin('images', 'images.imageArn', 'imageVersions.imageArn')
    .selectAll('imageVersions')
    .where('imageVersions.state', '=', 'DELETING')
    .where('images.state', '=', 'UPDATING')
    .orderBy('imageVersions.imageArn')
    .execute();

export async function insertImageVersion(db: Database, row: ImageVersionRow): Promise<void> {
  await db.insertInto('imageVersions').values(row).execute();
}

/** Rejects with `internal` when the change is not a legal one: callers look first, in the same transaction. */
export async function changeImageVersion(
  db: Database,
  { imageArn, version }: VersionKey,
  change: Partial<ImageVersionRow>,
): Promise<void> {
  const { state, status } = change;
  let update = db
    .updateTable('imageVersions')
    .set(change)
    .where('imageArn', '=', imageArn)
    .where('version', '=', version);
  if (state !== undefined) update = update.where('state', 'in', sourcesOf(imageVersionTransitions, state));
  else if (status === 'ACTIVE') update = update.where('state', '=', 'SUCCESSFUL');
  const { numUpdatedRows } = await update.executeTakeFirstOrThrow();
  if (numUpdatedRows === 1n) return;
  const what = `Version ${version} of ${imageArn} cannot become ${state ?? status ?? 'what was asked'}.`;
  throw new Fault('internal', { what });
}

/** Removes the rows of a version that is DELETING, with its builds. */
export function removeImageVersion(db: Database, key: VersionKey): Promise<void> {
  return inTransaction(db, async (trx) => {
    await changeImageVersion(trx, key, { state: 'DELETED' });
    const { imageArn, version } = key;
    await trx.deleteFrom('builds').where('imageArn', '=', imageArn).where('version', '=', version).execute();
    await trx.deleteFrom('imageVersions').where('imageArn', '=', imageArn).where('version', '=', version).execute();
  });
}
