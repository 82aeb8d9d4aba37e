// DeleteMicrovmImage: writes DELETING over the image and all of its versions and answers; the files go in the background.
import type { DeleteMicrovmImageInput, DeleteMicrovmImageOutput } from '../../contract/generated/operations.ts';
import type { ImageState } from '../../contract/states.ts';
import { changeImageVersion, listImageVersions } from '../../store/image-versions.ts';
import { changeImage, findImage, wasImageDeleted } from '../../store/images.ts';
import { countLiveMicrovms } from '../../store/microvms.ts';
import { inTransaction } from '../../store/open-store.ts';
import type { Database } from '../../store/tables.ts';
import { checkImageArn, imageNotFound, invalid, requireSettled } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import type { Caller } from '../settings.ts';

export async function deleteMicrovmImage(
  app: AppContext,
  caller: Caller,
  { imageIdentifier }: DeleteMicrovmImageInput,
): Promise<DeleteMicrovmImageOutput> {
  checkImageArn(caller, imageIdentifier, 'Invalid ARN format');
  const state = await inTransaction(app.db, (trx) => startDeletion(trx, imageIdentifier, app.clock.now()));
  void app.deletions.wake();
  return { imageIdentifier, state };
}

/** Repeating it is harmless, also when the image is gone. MicroVMs that are being ended do not stand in its way: the files wait for them. */
async function startDeletion(trx: Database, imageArn: string, updatedAtMs: number): Promise<ImageState> {
  const image = await findImage(trx, imageArn);
  if (!image) {
    if (await wasImageDeleted(trx, imageArn)) return 'DELETED';
    throw imageNotFound(imageArn);
  }
  if (image.state === 'DELETING') return 'DELETING';
  requireSettled(image, 'DELETE_FAILED');
  if ((await countLiveMicrovms(trx, { imageArn }, 'lasting')) > 0) {
    throw invalid('Cannot delete microvm image with running microvms.');
  }
  const change = { state: 'DELETING', updatedAtMs } as const;
  for (const version of await listImageVersions(trx, { imageArn })) {
    await changeImageVersion(trx, version, { ...change, status: 'INACTIVE' });
  }
  await changeImage(trx, imageArn, { ...change, latestActiveVersion: null, latestFailedVersion: null });
  return 'DELETING';
}
