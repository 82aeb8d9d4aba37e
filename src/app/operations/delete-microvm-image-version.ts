// DeleteMicrovmImageVersion: of any status, but not the only one and not while MicroVMs of it live. The image is UPDATING meanwhile.
import type {
  DeleteMicrovmImageVersionInput,
  DeleteMicrovmImageVersionOutput,
} from '../../contract/generated/operations.ts';
import type { ImageVersionState } from '../../contract/states.ts';
import { changeImageVersion, countImageVersions, findImageVersion } from '../../store/image-versions.ts';
import { changeImage, refreshLatestVersions } from '../../store/images.ts';
import { countLiveMicrovms } from '../../store/microvms.ts';
import { inTransaction } from '../../store/open-store.ts';
import type { Database, ImageRow } from '../../store/tables.ts';
import { invalid, requireImage, requireSettled } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { versionNotFound } from '../require-version.ts';
import type { Caller } from '../settings.ts';

export async function deleteMicrovmImageVersion(
  app: AppContext,
  caller: Caller,
  { imageIdentifier, imageVersion }: DeleteMicrovmImageVersionInput,
): Promise<DeleteMicrovmImageVersionOutput> {
  const state = await inTransaction(app.db, async (trx) => {
    const image = await requireImage({ db: trx }, caller, imageIdentifier, 'Invalid ARN format');
    return startDeletion(trx, image, imageVersion, app.clock.now());
  });
  void app.deletions.wake();
  return { imageIdentifier, imageVersion, state };
}

async function startDeletion(
  trx: Database,
  image: ImageRow,
  version: string,
  updatedAtMs: number,
): Promise<ImageVersionState> {
  const { imageArn } = image;
  const row = await findImageVersion(trx, imageArn, version);
  if (!row) {
    // Numbers are given once: a lower one that is missing was deleted, and deleting it again is harmless.
    if (/^[1-9][0-9]*\.0$/.test(version) && Number.parseInt(version, 10) <= image.lastOrdinal) return 'DELETED';
    throw versionNotFound(imageArn, version);
  }
  if (row.state === 'DELETING') return 'DELETING';
  requireSettled(image);
  if ((await countImageVersions(trx, imageArn)) === 1) {
    throw invalid(
      `Cannot delete version ${version}, the only one of MicroVM image ${imageArn}. Delete the image instead.`,
    );
  }
  if ((await countLiveMicrovms(trx, row, 'lasting')) > 0) {
    throw invalid('Cannot delete microvm image version with running microvms.');
  }
  await changeImageVersion(trx, row, { state: 'DELETING', status: 'INACTIVE', updatedAtMs });
  await refreshLatestVersions(trx, imageArn);
  await changeImage(trx, imageArn, { state: 'UPDATING', stateBefore: image.state, updatedAtMs });
  return 'DELETING';
}
