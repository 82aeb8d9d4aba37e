// --keep-versions: of each image the newest versions stay, and beyond them what MicroVMs or launches still need.

import { describe } from '../../lib/errors.ts';
import { listImageVersions } from '../../store/image-versions.ts';
import { listAllImages } from '../../store/images.ts';
import type { ImageRow, ImageVersionRow } from '../../store/tables.ts';
import type { AppContext } from '../context.ts';
import { deleteMicrovmImageVersion } from '../operations/delete-microvm-image-version.ts';
import type { Survey } from './find-orphans.ts';
import type { Planned } from './piece.ts';

const settled = new Set<ImageVersionRow['state']>(['SUCCESSFUL', 'FAILED', 'DELETE_FAILED']);

export async function oldVersions(app: AppContext, found: Survey): Promise<Planned[]> {
  const { keepVersions } = app.settings.lifecycle;
  if (keepVersions === undefined) return [];
  const used = new Set(
    [...found.books.live.values()].map(({ imageArn, imageVersion }) => `${imageArn}@${imageVersion}`),
  );
  const pieces: Planned[] = [];
  for (const image of await listAllImages(app.db)) {
    const versions = await listImageVersions(app.db, { imageArn: image.imageArn });
    const older = versions
      .slice(keepVersions)
      .filter(({ version, state }) => version !== image.latestActiveVersion && settled.has(state))
      .filter(({ version }) => !used.has(`${image.imageArn}@${version}`));
    pieces.push(...older.map((version) => pieceOf(app, found, image, version)));
  }
  return pieces;
}

function pieceOf(
  app: AppContext,
  { books, things, orphans }: Survey,
  image: ImageRow,
  { version }: ImageVersionRow,
): Planned {
  const { imageArn, account } = image;
  const builds = [...books.builds.values()].filter((build) => build.imageArn === imageArn && build.version === version);
  const ids = new Set(builds.map(({ buildId }) => buildId));
  const bytes = things
    .filter(({ kind, buildId = '' }) => kind === 'image' && ids.has(buildId))
    // As an orphan it is counted already.
    .filter(({ id }) => !orphans.some((orphan) => orphan.id === id))
    .reduce((sum, thing) => sum + thing.bytes, 0);
  const { keepVersions } = app.settings.lifecycle;
  return {
    policy: 'keep-versions',
    id: `version:${imageArn}@${version}`,
    where: `${imageArn}@${version}`,
    bytes,
    why: `${keepVersions === 1 ? 'A newer version is' : `${keepVersions} newer versions are`} kept, and no MicroVM uses this one (--keep-versions).`,
    cleaning: 'The version is deleted.',
    async collect() {
      try {
        // As a caller would: all that forbids it is looked at again.
        await deleteMicrovmImageVersion(app, { account }, { imageIdentifier: imageArn, imageVersion: version });
      } catch (error) {
        return describe(error);
      }
      // The image changes one version at a time.
      await app.deletions.wake();
      return undefined;
    },
  };
}
