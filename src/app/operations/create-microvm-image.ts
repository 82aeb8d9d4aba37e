// CreateMicrovmImage: writes image, version and build, answers CREATING, and builds in the background.
import { randomUUID } from 'node:crypto';
import type { CreateMicrovmImageRequest, CreateMicrovmImageResponse } from '../../contract/generated/operations.ts';
import { imageArn } from '../../lib/arn.ts';
import { Fault } from '../../lib/errors.ts';
import {
  countImages,
  findImage,
  findImageVersion,
  insertBuild,
  insertImage,
  insertImageVersion,
  listOpenBuilds,
} from '../../store/images.ts';
import { toJson } from '../../store/json.ts';
import type { Database } from '../../store/tables.ts';
import { imageAnswer } from '../answers.ts';
import { buildImage, readSpec } from '../build-image.ts';
import { invalid } from '../caller-checks.ts';
import type { AppContext } from '../context.ts';
import { once, replayed } from '../idempotency.ts';
import { resolveSpec, type StoredSpec } from '../image-spec.ts';
import type { Caller } from '../settings.ts';

const operation = 'CreateMicrovmImage';
const firstVersion = '1.0';

export async function createMicrovmImage(
  app: AppContext,
  caller: Caller,
  input: CreateMicrovmImageRequest,
): Promise<CreateMicrovmImageResponse> {
  const before = await replayed(app.db, caller, operation, input);
  if (before !== undefined) return answer(app, before);
  const { name, tags: _tags, clientToken: _token, ...asked } = input;
  const { region, limits } = app.settings;
  const spec = resolveSpec(asked, { region, limits, architecture: app.node.info().architecture });
  const size = limits.sizes[spec.asked.resources?.[0]?.minimumMemoryInMiB ?? 0];
  if (size) await app.node.checkBuild(size);
  const arn = imageArn(region, caller.account, name);
  const buildId = randomUUID();
  const { isNew } = await once(app, caller, operation, input, async (trx) => {
    await checkRoom(app, trx, caller, arn);
    await insertRows(app, trx, { arn, buildId, spec, input, account: caller.account });
    return arn;
  });
  if (isNew) app.builds.add(() => buildImage(app, buildId));
  return answer(app, arn);
}

async function checkRoom(app: AppContext, trx: Database, caller: Caller, arn: string): Promise<void> {
  if (app.draining) throw new Fault('capacity_exhausted', { what: 'This server is being stopped.' });
  if (await findImage(trx, arn)) throw invalid(`MicroVM image ${arn} already exists in this account.`);
  const { maxImages, maxOpenBuilds } = app.settings.limits;
  if ((await countImages(trx, caller.account)) >= maxImages) {
    throw new Fault('quota_exceeded', { what: `The account has ${maxImages} images, which is the limit.` });
  }
  if ((await listOpenBuilds(trx, caller.account)).length >= maxOpenBuilds) {
    throw new Fault('quota_exceeded', {
      what: `The limit of ${maxOpenBuilds} concurrent builds is reached. Wait for one.`,
    });
  }
}

interface NewImage {
  arn: string;
  buildId: string;
  spec: StoredSpec;
  input: CreateMicrovmImageRequest;
  account: string;
}

async function insertRows(app: AppContext, trx: Database, image: NewImage): Promise<void> {
  const { arn, buildId, spec, input, account } = image;
  const nowMs = app.clock.now();
  const times = { createdAtMs: nowMs, updatedAtMs: nowMs };
  await insertImage(trx, {
    imageArn: arn,
    account,
    name: input.name,
    state: 'CREATING',
    latestActiveVersion: null,
    latestFailedVersion: null,
    tags: toJson(input.tags ?? {}),
    ...times,
  });
  const version = { imageArn: arn, version: firstVersion, state: 'PENDING', stateReason: null } as const;
  await insertImageVersion(trx, {
    ...version,
    ordinal: 1,
    status: 'INACTIVE',
    memoryMib: spec.asked.resources?.[0]?.minimumMemoryInMiB ?? 0,
    spec: toJson(spec),
    ...times,
  });
  await insertBuild(trx, {
    ...version,
    buildId,
    account,
    architecture: spec.architecture,
    memorySnapshotBytes: null,
    diskSnapshotBytes: null,
    codeInstallBytes: null,
    createdAtMs: nowMs,
    endedAtMs: null,
  });
}

async function answer(app: AppContext, arn: string): Promise<CreateMicrovmImageResponse> {
  const [image, version] = [await findImage(app.db, arn), await findImageVersion(app.db, arn, firstVersion)];
  if (!image || !version) throw new Fault('internal', { what: `Image ${arn} was not written.` });
  const { asked } = readSpec(version);
  return { ...asked, ...imageAnswer(image), imageVersion: firstVersion };
}
