// Image and version, or image, version and build, that a caller names.
import { Fault } from '../lib/errors.ts';
import { findBuild, findImageVersion } from '../store/images.ts';
import type { BuildRow, ImageRow, ImageVersionRow } from '../store/tables.ts';
import { requireImage } from './caller-checks.ts';
import type { AppContext } from './context.ts';
import type { Caller } from './settings.ts';

export async function requireVersion(
  app: AppContext,
  caller: Caller,
  { imageIdentifier, imageVersion }: { imageIdentifier: string; imageVersion: string },
): Promise<{ image: ImageRow; version: ImageVersionRow }> {
  const image = await requireImage(app, caller, imageIdentifier, 'Invalid ARN format');
  const version = await findImageVersion(app.db, image.imageArn, imageVersion);
  if (version) return { image, version };
  const what = `Version ${imageVersion} not found for MicroVM image ${image.imageArn}`;
  throw new Fault('not_found', { what, resourceType: 'microvm-image-version', resourceId: imageVersion });
}

/** A build by its id alone, if it is the caller's. */
export async function requireBuild(app: AppContext, caller: Caller, buildId: string): Promise<BuildRow> {
  const build = await findBuild(app.db, buildId);
  if (build?.account === caller.account) return build;
  const what = `Build ${buildId} not found`;
  throw new Fault('not_found', { what, resourceType: 'microvm-image-build', resourceId: buildId });
}
