// UpdateMicrovmImage: a new version from a whole new configuration; what is left out is reset, not inherited. Builds in the background.
import { randomUUID } from 'node:crypto';
import type { UpdateMicrovmImageRequest, UpdateMicrovmImageResponse } from '../../contract/generated/operations.ts';
import { findBuild } from '../../store/builds.ts';
import { countImageVersions } from '../../store/image-versions.ts';
import { changeImage } from '../../store/images.ts';
import type { Database } from '../../store/tables.ts';
import { buildImage } from '../build-image.ts';
import { requireImage, requireSettled } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { once, replayed, type TokenUse } from '../idempotency.ts';
import { resolveSpec } from '../image-spec.ts';
import { checkBuildRoom, checkHostRoom, insertNewVersion, newVersionAnswer } from '../new-version.ts';
import { quotaExceeded } from '../quota.ts';
import type { Caller } from '../settings.ts';

/** A token names the build it made: when that was deleted, the token is free again. */
const use: TokenUse = {
  operation: 'UpdateMicrovmImage',
  exists: async (db, buildId) => (await findBuild(db, buildId)) !== undefined,
};

export async function updateMicrovmImage(
  app: AppContext,
  caller: Caller,
  input: UpdateMicrovmImageRequest,
): Promise<UpdateMicrovmImageResponse> {
  const before = await replayed(app.db, caller, use, input);
  if (before !== undefined) return newVersionAnswer(app, before);
  const { imageIdentifier, clientToken: _token, ...asked } = input;
  await requireImage(app, caller, imageIdentifier, 'Invalid ARN format');
  const spec = await resolveSpec(app, caller, asked);
  await checkHostRoom(app, spec);
  const { resource: buildId, isNew } = await once(app, caller, use, input, async (trx) => {
    const ordinal = await startUpdate(app, trx, caller, imageIdentifier);
    const made = { imageArn: imageIdentifier, account: caller.account, ordinal, buildId: randomUUID(), spec };
    await insertNewVersion(app, trx, made);
    return made.buildId;
  });
  if (isNew) app.builds.add(() => buildImage(app, buildId));
  return newVersionAnswer(app, buildId);
}

/** Resolves with the number of the new version. */
async function startUpdate(app: AppContext, trx: Database, caller: Caller, imageArn: string): Promise<number> {
  const image = await requireImage({ db: trx }, caller, imageArn, 'Invalid ARN format');
  requireSettled(image);
  const { maxVersions } = app.settings.limits;
  if ((await countImageVersions(trx, imageArn)) >= maxVersions) {
    const what = `MicroVM image ${imageArn} has ${maxVersions} versions, which is the limit. Delete one first, or raise --quota versions-per-image.`;
    const of = { quotaCode: 'microvm-image-versions', resourceType: 'microvm-image-version' } as const;
    throw quotaExceeded({ ...of, resourceId: imageArn, what });
  }
  await checkBuildRoom(app, trx, caller.account);
  const lastOrdinal = image.lastOrdinal + 1;
  await changeImage(trx, imageArn, { state: 'UPDATING', lastOrdinal, updatedAtMs: app.clock.now() });
  return lastOrdinal;
}
