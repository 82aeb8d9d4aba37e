// Image and version, or image, version and build, that a caller names.
import { Fault } from '../lib/errors.ts';
import { findBuild } from '../store/builds.ts';
import { findImageVersion } from '../store/image-versions.ts';
import type { BuildRow, Database, ImageRow, ImageVersionRow } from '../store/tables.ts';
import { requireImage } from './caller-checks.ts';
import type { Caller } from './settings.ts';

export const versionNotFound = (imageArn: string, version: string): Fault =>
  new Fault('not_found', {
    what: `Version ${version} not found for MicroVM image ${imageArn}`,
    resourceType: 'microvm-image-version',
    resourceId: version,
  });

export async function requireVersion(
  app: { db: Database },
  caller: Caller,
  { imageIdentifier, imageVersion }: { imageIdentifier: string; imageVersion: string },
): Promise<{ image: ImageRow; version: ImageVersionRow }> {
  const image = await requireImage(app, caller, imageIdentifier, 'Invalid ARN format');
  const version = await findImageVersion(app.db, image.imageArn, imageVersion);
  if (version) return { image, version };
  throw versionNotFound(image.imageArn, imageVersion);
}

/** A build by its id alone, if it is the caller's. */
export async function requireBuild({ db }: { db: Database }, caller: Caller, buildId: string): Promise<BuildRow> {
  const build = await findBuild(db, buildId);
  if (build?.account === caller.account) return build;
  const what = `Build ${buildId} not found`;
  throw new Fault('not_found', { what, resourceType: 'microvm-image-build', resourceId: buildId });
}
