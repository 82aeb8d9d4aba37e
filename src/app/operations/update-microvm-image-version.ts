// UpdateMicrovmImageVersion: whether a version may be launched. MicroVMs that run are not affected.
import type {
  UpdateMicrovmImageVersionRequest,
  UpdateMicrovmImageVersionResponse,
} from '../../contract/generated/operations.ts';
import type { ImageVersionStatus } from '../../contract/states.ts';
import { changeImageVersion } from '../../store/image-versions.ts';
import { refreshLatestVersions } from '../../store/images.ts';
import { inTransaction } from '../../store/open-store.ts';
import type { ImageVersionRow } from '../../store/tables.ts';
import { versionAnswer } from '../answers.ts';
import { invalid, requireSettled } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { requireVersion } from '../require-version.ts';
import type { Caller } from '../settings.ts';

export async function updateMicrovmImageVersion(
  app: AppContext,
  caller: Caller,
  input: UpdateMicrovmImageVersionRequest,
): Promise<UpdateMicrovmImageVersionResponse> {
  // The door has checked it against the enum.
  const status = input.status as ImageVersionStatus;
  return inTransaction(app.db, async (trx) => {
    const { image, version } = await requireVersion({ db: trx }, caller, input);
    requireSettled(image);
    if (version.status === status) return versionAnswer(image, version);
    checkActivation(version, status);
    const change = { status, updatedAtMs: app.clock.now() };
    await changeImageVersion(trx, version, change);
    await refreshLatestVersions(trx, image.imageArn);
    return versionAnswer(image, { ...version, ...change });
  });
}

function checkActivation({ imageArn, version, state }: ImageVersionRow, status: ImageVersionStatus): void {
  if (status === 'INACTIVE' || state === 'SUCCESSFUL') return;
  throw invalid(`Version ${version} of MicroVM image ${imageArn} is ${state} and cannot be activated.`);
}
