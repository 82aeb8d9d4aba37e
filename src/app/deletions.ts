// Finishes the deletions that rows say are under way: first the files on the host, then the rows. A crash at any line leaves a
// row that says DELETING, and the next run takes it up again.
import { listBuilds } from '../store/builds.ts';
import {
  changeImageVersion,
  listImageVersions,
  listVersionsBeingDeleted,
  removeImageVersion,
} from '../store/image-versions.ts';
import { changeImage, findImage, listImagesBeingDeleted, refreshLatestVersions, removeImage } from '../store/images.ts';
import { countLiveMicrovms } from '../store/microvms.ts';
import { inTransaction } from '../store/open-store.ts';
import type { ImageRow, ImageVersionRow } from '../store/tables.ts';
import { actOnEach } from './background.ts';
import type { AppContext } from './context.ts';

/**
 * One try for each; what fails becomes DELETE_FAILED, from where it may be deleted again. Resolves with whether some are
 * left: those whose last MicroVMs are TERMINATING, and whose VMs still read the image.
 */
export async function finishDeletions(app: AppContext): Promise<boolean> {
  const waiting = async (of: { imageArn: string; version?: string }): Promise<boolean> =>
    (await countLiveMicrovms(app.db, of, 'all')) > 0;
  let left = false;
  await actOnEach(await listImagesBeingDeleted(app.db), async (image) => {
    if (await waiting({ imageArn: image.imageArn })) left = true;
    else await finishImage(app, image);
  });
  await actOnEach(await listVersionsBeingDeleted(app.db), async (version) => {
    if (await waiting(version)) left = true;
    else await finishVersion(app, version);
  });
  return left;
}

async function finishImage(app: AppContext, { imageArn }: ImageRow): Promise<void> {
  if (await removeFiles(app, imageArn)) {
    await removeImage(app.db, imageArn, app.clock.now());
    app.log.info('image.deleted', { imageArn });
    return;
  }
  const change = { state: 'DELETE_FAILED', updatedAtMs: app.clock.now() } as const;
  await inTransaction(app.db, async (trx) => {
    for (const version of await listImageVersions(trx, { imageArn })) await changeImageVersion(trx, version, change);
    await changeImage(trx, imageArn, change);
  });
}

async function finishVersion(app: AppContext, version: ImageVersionRow): Promise<void> {
  const { imageArn } = version;
  const removed = await removeFiles(app, imageArn, version.version);
  const nowMs = app.clock.now();
  await inTransaction(app.db, async (trx) => {
    if (removed) await removeImageVersion(trx, version);
    else await changeImageVersion(trx, version, { state: 'DELETE_FAILED', updatedAtMs: nowMs });
    await refreshLatestVersions(trx, imageArn);
    const image = await findImage(trx, imageArn);
    await changeImage(trx, imageArn, { state: image?.stateBefore ?? 'UPDATED', stateBefore: null, updatedAtMs: nowMs });
  });
  if (removed) app.log.info('image.version_deleted', { imageArn, version: version.version });
}

/** Resolves with whether all is gone. Files that are missing are no failure. */
async function removeFiles(app: AppContext, imageArn: string, version?: string): Promise<boolean> {
  try {
    for (const { buildId } of await listBuilds(app.db, imageArn, version)) await app.node.deleteImage(buildId);
    return true;
  } catch (error) {
    app.log.error('image.files_not_removed', { imageArn, version, error: String(error) });
    return false;
  }
}
