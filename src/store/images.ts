// Images, versions and builds.
import type { BuildRow, Database, ImageRow, ImageVersionRow } from './tables.ts';

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

export async function changeImage(db: Database, imageArn: string, change: Partial<ImageRow>): Promise<void> {
  await db.updateTable('images').set(change).where('imageArn', '=', imageArn).execute();
}

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

export async function insertImageVersion(db: Database, row: ImageVersionRow): Promise<void> {
  await db.insertInto('imageVersions').values(row).execute();
}

export async function changeImageVersion(
  db: Database,
  { imageArn, version }: Pick<ImageVersionRow, 'imageArn' | 'version'>,
  change: Partial<ImageVersionRow>,
): Promise<void> {
  await db
    .updateTable('imageVersions')
    .set(change)
    .where('imageArn', '=', imageArn)
    .where('version', '=', version)
    .execute();
}

export const findBuild = (db: Database, buildId: string): Promise<BuildRow | undefined> =>
  db.selectFrom('builds').selectAll().where('buildId', '=', buildId).executeTakeFirst();

/** Builds of one version, oldest first. */
export const listBuilds = (db: Database, imageArn: string, version: string): Promise<BuildRow[]> =>
  db
    .selectFrom('builds')
    .selectAll()
    .where('imageArn', '=', imageArn)
    .where('version', '=', version)
    .orderBy('createdAtMs')
    .orderBy('buildId')
    .execute();

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

export async function changeBuild(db: Database, buildId: string, change: Partial<BuildRow>): Promise<void> {
  await db.updateTable('builds').set(change).where('buildId', '=', buildId).execute();
}
