// A version of an image with its build: written down together, and what the calls that make one answer.
import type { CreateMicrovmImageResponse } from '../contract/generated/operations.ts';
import { Fault } from '../lib/errors.ts';
import { findBuild, insertBuild, listOpenBuilds } from '../store/builds.ts';
import { findImageVersion, insertImageVersion } from '../store/image-versions.ts';
import { findImage } from '../store/images.ts';
import { toJson } from '../store/json.ts';
import type { Database } from '../store/tables.ts';
import { imageAnswer } from './answers.ts';
import { readSpec } from './build-image.ts';
import type { AppContext } from './context.ts';
import type { StoredSpec } from './image-spec.ts';
import { quotaExceeded } from './quota.ts';

export interface NewVersion {
  imageArn: string;
  account: string;
  ordinal: number;
  buildId: string;
  spec: StoredSpec;
}

/** Writes a version and its build as PENDING. The image's row is the caller's. */
export async function insertNewVersion(app: AppContext, trx: Database, made: NewVersion): Promise<void> {
  const { imageArn, account, ordinal, buildId, spec } = made;
  const nowMs = app.clock.now();
  const version = { imageArn, version: `${ordinal}.0`, state: 'PENDING', stateReason: null } as const;
  await insertImageVersion(trx, {
    ...version,
    ordinal,
    status: 'INACTIVE',
    memoryMib: spec.asked.resources?.[0]?.minimumMemoryInMiB ?? 0,
    spec: toJson(spec),
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
  });
  await insertBuild(trx, {
    ...version,
    buildId,
    account,
    architecture: spec.architecture,
    memorySnapshotBytes: null,
    diskSnapshotBytes: null,
    codeInstallBytes: null,
    attempts: 0,
    createdAtMs: nowMs,
    endedAtMs: null,
  });
}

/** Rejects with `quota_exceeded`, or with `capacity_exhausted` while the server is being stopped. */
export async function checkBuildRoom(app: AppContext, trx: Database, account: string): Promise<void> {
  if (app.draining) throw new Fault('capacity_exhausted', { what: 'This server is being stopped.' });
  const { maxOpenBuilds } = app.settings.limits;
  if ((await listOpenBuilds(trx, account)).length < maxOpenBuilds) return;
  const what = `The account has ${maxOpenBuilds} builds that wait or run, which is the limit of concurrent builds. Wait for one, or raise --quota concurrent-builds.`;
  throw quotaExceeded({ quotaCode: 'concurrent-microvm-image-builds', resourceType: 'microvm-image-build', what });
}

/** Rejects with `capacity_exhausted` when the host could not begin such a build now. */
export async function checkHostRoom(app: AppContext, { asked }: StoredSpec): Promise<void> {
  const size = app.settings.limits.sizes[asked.resources?.[0]?.minimumMemoryInMiB ?? 0];
  if (size) await app.node.checkBuild(size);
}

/** The image as it is now, with the configuration of the version that this build is of. Rejects with `conflict` when that was deleted meanwhile. */
export async function newVersionAnswer(
  app: AppContext,
  buildId: string,
): Promise<CreateMicrovmImageResponse & { updatedAt: Date }> {
  const build = await findBuild(app.db, buildId);
  const image = build && (await findImage(app.db, build.imageArn));
  const version = build && (await findImageVersion(app.db, build.imageArn, build.version));
  if (!image || !version) {
    const what = 'What this client token created was deleted while the call was answered. Call again.';
    throw new Fault('conflict', { what, resourceType: 'microvm-image-version' });
  }
  return { ...readSpec(version).asked, ...imageAnswer(image), imageVersion: version.version };
}
