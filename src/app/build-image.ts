// Builds one version of an image: zip from the object store, build on the host, result into the rows.
import { join } from 'node:path';
import type { BuildOrder, BuildOutcome } from '../contract/node-api.ts';
import type { ImageState } from '../contract/states.ts';
import { remove } from '../lib/durable-file.ts';
import { describe, Fault, isFault } from '../lib/errors.ts';
import { changeBuild, findBuild, listOpenBuilds } from '../store/builds.ts';
import { changeImageVersion, findImageVersion } from '../store/image-versions.ts';
import { changeImage, findImage, refreshLatestVersions } from '../store/images.ts';
import { fromJson, type Json } from '../store/json.ts';
import { inTransaction } from '../store/open-store.ts';
import type { BuildRow, Database, ImageVersionRow } from '../store/tables.ts';
import { egressOf } from './connectors.ts';
import type { AppContext } from './context.ts';
import { fetchArchive } from './fetch-archive.ts';
import { hookPlan, type StoredSpec } from './image-spec.ts';

export const readSpec = (version: ImageVersionRow): StoredSpec => fromJson(version.spec as Json<StoredSpec>);

/** A build that ends the server this often is not begun again. */
const mostAttempts = 3;

/** Never rejects: what goes wrong is written into the build. Stopped by `app.closing` it stays as it is, for the next start. */
export async function buildImage(app: AppContext, buildId: string): Promise<void> {
  const archivePath = join(app.settings.archiveDirectory, `${buildId}.zip`);
  try {
    const build = await findBuild(app.db, buildId);
    const version = build && (await findImageVersion(app.db, build.imageArn, build.version));
    if (!version) throw new Fault('internal', { what: `Build ${buildId} has no version.` });
    try {
      if (build.attempts >= mostAttempts) throw tooOften(build);
      await recordProgress(app, build);
      await fetchArchive(app, build.account, readSpec(version).asked.codeArtifact.uri, archivePath);
      const outcome = await app.node.build(orderOf(app, build, version, archivePath), () => {}, app.closing);
      await recordSuccess(app, build, outcome);
    } catch (error) {
      if (app.closing.aborted && !isFault(error, 'build_failed')) {
        await changeBuild(app.db, buildId, { attempts: build.attempts });
        return;
      }
      app.log.warn('image.build_failed', { buildId, error: String(error) });
      await recordFailure(app, build, buildReason(error), codeInstallBytesOf(error));
    }
  } catch (error) {
    app.log.error('image.build_not_recorded', { buildId, error: String(error) });
  } finally {
    await remove(archivePath).catch((error: unknown) => {
      app.log.error('archive_not_removed', { archivePath, error: describe(error) });
    });
  }
}

function orderOf(app: AppContext, build: BuildRow, version: ImageVersionRow, archivePath: string): BuildOrder {
  const { region, limits } = app.settings;
  const { asked } = readSpec(version);
  const size = limits.sizes[version.memoryMib];
  if (!size) throw new Fault('internal', { what: `The size ${version.memoryMib} MiB is not configured.` });
  const egress = egressOf(asked.egressNetworkConnectors ?? []);
  const imageName = build.imageArn.split(':').at(-1) ?? '';
  return {
    buildId: build.buildId,
    account: build.account,
    imageName,
    imageArn: build.imageArn,
    imageVersion: build.version,
    region,
    archivePath,
    ...size,
    environment: {
      ...asked.environmentVariables,
      AWS_LAMBDA_MICROVM_IMAGE_NAME: imageName,
      AWS_LAMBDA_MICROVM_IMAGE_ARN: build.imageArn,
      AWS_LAMBDA_MICROVM_IMAGE_VERSION: build.version,
      AWS_REGION: region,
    },
    hooks: hookPlan(asked.hooks, limits),
    ...(egress ? { egress } : {}),
    allCapabilities: asked.additionalOsCapabilities?.includes('ALL') ?? false,
  };
}

const tooOften = ({ attempts }: BuildRow): Fault =>
  new Fault('build_failed', {
    reason: 'INTERNAL_PLATFORM_ERROR',
    what: `The server ended ${attempts} times during this build. The logs of the server and of the build say more.`,
  });

function buildReason(error: unknown): string {
  if (isFault(error, 'build_failed')) return error.message;
  return `INTERNAL_PLATFORM_ERROR: ${isFault(error) ? error.message : 'The log of the server says more.'}`;
}

async function recordProgress(app: AppContext, build: BuildRow): Promise<void> {
  await inTransaction(app.db, async (trx) => {
    await changeBuild(trx, build.buildId, { state: 'IN_PROGRESS', attempts: build.attempts + 1 });
    await changeImageVersion(trx, build, { state: 'IN_PROGRESS', updatedAtMs: app.clock.now() });
  });
}

async function recordSuccess(app: AppContext, build: BuildRow, outcome: BuildOutcome): Promise<void> {
  const nowMs = app.clock.now();
  const { memorySnapshotBytes, diskSnapshotBytes, codeInstallBytes } = outcome;
  const sizes = { memorySnapshotBytes, diskSnapshotBytes, codeInstallBytes };
  await inTransaction(app.db, async (trx) => {
    await changeBuild(trx, build.buildId, { state: 'SUCCESSFUL', endedAtMs: nowMs, ...sizes });
    await changeImageVersion(trx, build, { state: 'SUCCESSFUL', status: 'ACTIVE', updatedAtMs: nowMs });
    await settleImage(trx, build.imageArn, { first: 'CREATED', later: 'UPDATED' }, nowMs);
  });
}

/** A build that fails after the container was built says how large that is. */
function codeInstallBytesOf(error: unknown): number | null {
  const bytes = isFault(error, 'build_failed') ? error.facts.codeInstallBytes : undefined;
  return typeof bytes === 'number' ? bytes : null;
}

async function recordFailure(
  app: AppContext,
  build: BuildRow,
  stateReason: string,
  codeInstallBytes: number | null,
): Promise<void> {
  const nowMs = app.clock.now();
  await inTransaction(app.db, async (trx) => {
    await changeBuild(trx, build.buildId, { state: 'FAILED', stateReason, codeInstallBytes, endedAtMs: nowMs });
    await changeImageVersion(trx, build, { state: 'FAILED', status: 'INACTIVE', updatedAtMs: nowMs });
    await settleImage(trx, build.imageArn, { first: 'CREATE_FAILED', later: 'UPDATE_FAILED' }, nowMs);
  });
}

/** The end of a build is the end of the image's creation, or of its update. */
async function settleImage(
  trx: Database,
  imageArn: string,
  states: { first: ImageState; later: ImageState },
  updatedAtMs: number,
): Promise<void> {
  const image = await findImage(trx, imageArn);
  await changeImage(trx, imageArn, { state: image?.state === 'CREATING' ? states.first : states.later, updatedAtMs });
  await refreshLatestVersions(trx, imageArn);
}

/** After a start: no build survives the process that ran it, so what it had begun is begun again. */
export async function resumeInterruptedBuilds(app: AppContext): Promise<void> {
  for (const { buildId } of await listOpenBuilds(app.db)) app.builds.add(() => buildImage(app, buildId));
}
