// Images. Every change of state is checked against the table of legal ones, here and nowhere else.
import { sql } from 'kysely';
import { imageTransitions, sourcesOf } from '../contract/states.ts';
import { Fault } from '../lib/errors.ts';
import { inTransaction } from './open-store.ts';
import type { Database, ImageRow } from './tables.ts';

export const findImage = (db: Database, imageArn: string): Promise<ImageRow | undefined> =>
  db.selectFrom('images').selectAll().where('imageArn', '=', imageArn).executeTakeFirst();

export async function countImages(db: Database, account: string): Promise<number> {
  const { count } = await db
    .selectFrom('images')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('account', '=', account)
    .executeTakeFirstOrThrow();
  return count;
}

export async function insertImage(db: Database, row: ImageRow): Promise<void> {
  await db.insertInto('images').values(row).execute();
}

/** Rejects with `internal` when the change of state is not a legal one: callers look first, in the same transaction. */
export async function changeImage(db: Database, imageArn: string, change: Partial<ImageRow>): Promise<void> {
  const { state } = change;
  let update = db.updateTable('images').set(change).where('imageArn', '=', imageArn);
  if (state !== undefined) update = update.where('state', 'in', sourcesOf(imageTransitions, state));
  const { numUpdatedRows } = await update.executeTakeFirstOrThrow();
  if (numUpdatedRows === 1n) return;
  throw new Fault('internal', { what: `MicroVM image ${imageArn} cannot become ${state ?? 'what was asked'}.` });
}

export interface ImagePosition {
  createdAtMs: number;
  imageArn: string;
}

/** Newest first; `after` is the last one of the page before. */
export function listImages(
  db: Database,
  { account, after, limit }: { account: string; after: ImagePosition | undefined; limit: number },
): Promise<ImageRow[]> {
  let select = db.selectFrom('images').selectAll().where('account', '=', account);
  if (after)
    select = select.where(sql<boolean>`(created_at_ms, image_arn) < (${after.createdAtMs}, ${after.imageArn})`);
  return select.orderBy('createdAtMs', 'desc').orderBy('imageArn', 'desc').limit(limit).execute();
}

/** Of every account. */
export const listAllImages = (db: Database): Promise<ImageRow[]> =>
  db.selectFrom('images').selectAll().orderBy('imageArn').execute();

export const listImagesBeingDeleted = (db: Database): Promise<ImageRow[]> =>
  db.selectFrom('images').selectAll().where('state', '=', 'DELETING').orderBy('imageArn').execute();

/** Sets the pointers to the newest versions that may be launched and that failed, after a version has changed. */
export async function refreshLatestVersions(db: Database, imageArn: string): Promise<void> {
  const newest = (state: 'SUCCESSFUL' | 'FAILED', status: 'ACTIVE' | 'INACTIVE') =>
    db
      .selectFrom('imageVersions')
      .select('version')
      .where('imageArn', '=', imageArn)
      .where('state', '=', state)
      .where('status', '=', status)
      .orderBy('ordinal', 'desc')
      .limit(1)
      .executeTakeFirst();
  const [active, failed] = [await newest('SUCCESSFUL', 'ACTIVE'), await newest('FAILED', 'INACTIVE')];
  await changeImage(db, imageArn, {
    latestActiveVersion: active?.version ?? null,
    latestFailedVersion: failed?.version ?? null,
  });
}

/** Removes the rows of an image that is DELETING, with its versions and builds, and remembers that it was there. */
export function removeImage(db: Database, imageArn: string, deletedAtMs: number): Promise<void> {
  return inTransaction(db, async (trx) => {
    await changeImage(trx, imageArn, { state: 'DELETED' });
    await trx.deleteFrom('builds').where('imageArn', '=', imageArn).execute();
    await trx.deleteFrom('imageVersions').where('imageArn', '=', imageArn).execute();
    await trx.deleteFrom('images').where('imageArn', '=', imageArn).execute();
    await trx
      .insertInto('deletedImages')
      .values({ imageArn, deletedAtMs })
      .onConflict((conflict) => conflict.column('imageArn').doUpdateSet({ deletedAtMs }))
      .execute();
  });
}

/** Whether there was an image of this name once. */
export async function wasImageDeleted(db: Database, imageArn: string): Promise<boolean> {
  const row = await db
    .selectFrom('deletedImages')
    .select('imageArn')
    .where('imageArn', '=', imageArn)
    .executeTakeFirst();
  return row !== undefined;
}
