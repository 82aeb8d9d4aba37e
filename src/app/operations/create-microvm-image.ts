// CreateMicrovmImage: writes image, version and build, answers CREATING, and builds in the background.
import { randomUUID } from 'node:crypto';
import type { CreateMicrovmImageRequest, CreateMicrovmImageResponse } from '../../contract/generated/operations.ts';
import { imageArn } from '../../lib/arn.ts';
import { findBuild } from '../../store/builds.ts';
import { countImages, findImage, insertImage } from '../../store/images.ts';
import { toJson } from '../../store/json.ts';
import type { Database } from '../../store/tables.ts';
import { buildImage } from '../build-image.ts';
import { invalid } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { once, replayed, type TokenUse } from '../idempotency.ts';
import { resolveSpec } from '../image-spec.ts';
import { checkBuildRoom, checkHostRoom, insertNewVersion, newVersionAnswer } from '../new-version.ts';
import { quotaExceeded } from '../quota.ts';
import type { Caller } from '../settings.ts';
import { checkTagKeys } from '../tags.ts';

/** A token names the build it made: when that was deleted, the token is free again. */
const use: TokenUse = {
  operation: 'CreateMicrovmImage',
  exists: async (db, buildId) => (await findBuild(db, buildId)) !== undefined,
};

export async function createMicrovmImage(
  app: AppContext,
  caller: Caller,
  input: CreateMicrovmImageRequest,
): Promise<CreateMicrovmImageResponse> {
  const before = await replayed(app.db, caller, use, input);
  if (before !== undefined) return newVersionAnswer(app, before);
  const { name, tags = {}, clientToken: _token, ...asked } = input;
  const spec = await resolveSpec(app, caller, asked);
  checkTagKeys(Object.keys(tags));
  await checkHostRoom(app, spec);
  const arn = imageArn(app.settings.region, caller.account, name);
  const { resource: buildId, isNew } = await once(app, caller, use, input, async (trx) => {
    await checkRoom(app, trx, caller, arn);
    await insertNewImage(app, trx, caller, { arn, name, tags });
    const made = { imageArn: arn, account: caller.account, ordinal: 1, buildId: randomUUID(), spec };
    await insertNewVersion(app, trx, made);
    return made.buildId;
  });
  if (isNew) app.builds.add(() => buildImage(app, buildId));
  return newVersionAnswer(app, buildId);
}

async function checkRoom(app: AppContext, trx: Database, caller: Caller, arn: string): Promise<void> {
  // Also while the image of that name is being deleted.
  if (await findImage(trx, arn)) throw invalid(`MicroVM image ${arn} already exists in this account.`);
  const { maxImages } = app.settings.limits;
  if ((await countImages(trx, caller.account)) >= maxImages) {
    const what = `The account has ${maxImages} images, which is the limit. Delete one first, or raise --quota images.`;
    throw quotaExceeded({ quotaCode: 'microvm-images', resourceType: 'microvm-image', resourceId: arn, what });
  }
  await checkBuildRoom(app, trx, caller.account);
}

function insertNewImage(
  app: AppContext,
  trx: Database,
  { account }: Caller,
  { arn, name, tags }: { arn: string; name: string; tags: Record<string, string> },
): Promise<void> {
  const nowMs = app.clock.now();
  return insertImage(trx, {
    imageArn: arn,
    account,
    name,
    state: 'CREATING',
    latestActiveVersion: null,
    latestFailedVersion: null,
    lastOrdinal: 1,
    stateBefore: null,
    tags: toJson(tags),
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  });
}
