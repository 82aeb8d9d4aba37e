// RunMicrovm: writes the MicroVM as PENDING with the wish RUNNING and answers; convergence launches it.
import { randomUUID } from 'node:crypto';
import type { RunMicrovmRequest, RunMicrovmResponse } from '../../contract/generated/operations.ts';
import { newMicrovmId } from '../../lib/arn.ts';
import { Fault } from '../../lib/errors.ts';
import { listBuilds } from '../../store/builds.ts';
import { findImageVersion, findLatestActiveVersion } from '../../store/image-versions.ts';
import { toJson } from '../../store/json.ts';
import { findMicrovm, insertMicrovm, sumLiveMemoryMib } from '../../store/microvms.ts';
import type { Database, ImageRow, ImageVersionRow, MicrovmRow } from '../../store/tables.ts';
import { microvmAnswer } from '../answers.ts';
import { readSpec } from '../build-image.ts';
import { invalid, requireImage, requireMicrovm } from '../caller-checks.ts';
import { resolveConnectors } from '../connectors.ts';
import type { AppContext } from '../context.ts';
import { converge } from '../convergence.ts';
import { addEndpoint } from '../endpoints.ts';
import { once, replayed, type TokenUse } from '../idempotency.ts';
import { quotaExceeded } from '../quota.ts';
import type { Caller } from '../settings.ts';

/** A MicroVM that has ended is still there: its token stays spent. */
const use: TokenUse = {
  operation: 'RunMicrovm',
  exists: async (db, microvmId) => (await findMicrovm(db, microvmId)) !== undefined,
};

export async function runMicrovm(
  app: AppContext,
  caller: Caller,
  input: RunMicrovmRequest,
): Promise<RunMicrovmResponse> {
  // First of all: what was answered once stays true, whatever has become of the image since.
  const before = await replayed(app.db, caller, use, input);
  if (before !== undefined) return microvmAnswer(app, await requireMicrovm(app, caller, before));
  const image = await requireImage(app, caller, input.imageIdentifier, 'Malformed ARN');
  const version = await launchable(app, app.db, image, input.imageVersion);
  const { hooks, egressNetworkConnectors } = readSpec(version).asked;
  if (input.runHookPayload !== undefined && hooks?.microvmHooks?.run !== 'ENABLED') {
    throw invalid('The run hook must be enabled on the MicroVM image when runHookPayload is given.');
  }
  const asked = input.egressNetworkConnectors ?? [];
  const row = await newRow(app, caller, input, version, {
    ingress: await resolveConnectors(app, caller, 'ingress', input.ingressNetworkConnectors),
    egress: await resolveConnectors(app, caller, 'egress', asked.length > 0 ? asked : egressNetworkConnectors),
  });
  const written = await writeDown(app, caller, input, row);
  if (written !== row.microvmId) return microvmAnswer(app, await requireMicrovm(app, caller, written));
  void converge(app, addEndpoint(app, row));
  return microvmAnswer(app, row);
}

/** Resolves with the id of the MicroVM that stands for this call: this one, or that of a faster call with the same token. */
async function writeDown(app: AppContext, caller: Caller, input: RunMicrovmRequest, row: MicrovmRow): Promise<string> {
  const { microvmId, buildId } = row;
  // Who is refused hears it now, not as the end of a MicroVM.
  await app.node.reserve({ microvmId, buildId });
  let written: string | undefined;
  try {
    await app.openEndpoint?.(microvmId);
    const { resource } = await once(app, caller, use, input, async (trx) => {
      if (app.draining) throw new Fault('capacity_exhausted', { what: 'This server is being stopped.' });
      await checkStillPossible(app, trx, caller, input, row);
      await insertMicrovm(trx, row);
      return microvmId;
    });
    written = resource;
    return resource;
  } finally {
    // Nobody will end a MicroVM that never was: its endpoint and its room are given back here.
    if (written !== microvmId) {
      app.closeEndpoint?.(microvmId);
      await app.node.terminate(microvmId);
    }
  }
}

/** What was looked at before may have been deleted, deactivated or used up since. */
async function checkStillPossible(
  app: AppContext,
  trx: Database,
  caller: Caller,
  input: RunMicrovmRequest,
  row: MicrovmRow,
): Promise<void> {
  const image = await requireImage({ db: trx }, caller, input.imageIdentifier, 'Malformed ARN');
  await launchable(app, trx, image, row.imageVersion);
  const { maxMemoryMib } = app.settings.limits;
  const usedMib = await sumLiveMemoryMib(trx, caller.account);
  if (usedMib + row.memoryMib <= maxMemoryMib) return;
  const what = [
    'The base maximum allocated memory limit has been reached for this account:',
    `MicroVMs that have not ended have ${usedMib} of ${maxMemoryMib} MiB, and this one needs ${row.memoryMib} MiB.`,
    'Terminate some, or raise --quota memory-mib.',
  ].join(' ');
  throw quotaExceeded({ quotaCode: 'L-CD1C0CC4', resourceType: 'microvm', what });
}

/** The version asked for, or the newest one that may be launched. */
async function launchable(
  { settings }: AppContext,
  db: Database,
  image: ImageRow,
  asked: string | undefined,
): Promise<ImageVersionRow> {
  const { imageArn, state } = image;
  // A version that is ACTIVE and SUCCESSFUL is whole, whatever becomes of the next one.
  const settled = settings.limits.launchWhileUpdating || state === 'CREATED' || state === 'UPDATED';
  const version =
    asked === undefined ? await findLatestActiveVersion(db, imageArn) : await findImageVersion(db, imageArn, asked);
  if (settled && version?.state === 'SUCCESSFUL' && version.status === 'ACTIVE') return version;
  const pinned = asked === undefined ? '' : ` and version ${asked}`;
  const why = settled ? '' : ` (the image is ${state})`;
  const what = `No active version found for MicroVM image ${imageArn}${pinned}${why}`;
  throw new Fault('not_found', { what, resourceType: 'microvm-image', resourceId: imageArn });
}

async function newRow(
  app: AppContext,
  caller: Caller,
  input: RunMicrovmRequest,
  version: ImageVersionRow,
  connectors: { ingress: string[]; egress: string[] },
): Promise<MicrovmRow> {
  const builds = await listBuilds(app.db, version.imageArn, version.version);
  const build = builds.find(({ state }) => state === 'SUCCESSFUL');
  if (!build) throw new Fault('internal', { what: `Version ${version.version} of ${version.imageArn} has no build.` });
  const { idlePolicy } = input;
  const { hostSuffix, limits } = app.settings;
  return {
    microvmId: newMicrovmId(),
    account: caller.account,
    host: `${randomUUID()}.${hostSuffix}`,
    imageArn: version.imageArn,
    imageVersion: version.version,
    buildId: build.buildId,
    memoryMib: version.memoryMib,
    state: 'PENDING',
    wish: 'RUNNING',
    generation: 1,
    stateReason: null,
    executionRoleArn: input.executionRoleArn ?? null,
    maxIdleSeconds: idlePolicy?.maxIdleDurationSeconds ?? null,
    suspendedSeconds: idlePolicy?.suspendedDurationSeconds ?? null,
    autoResume: idlePolicy?.autoResumeEnabled ? 1 : 0,
    maximumDurationSeconds: input.maximumDurationInSeconds ?? limits.defaultDurationSeconds,
    ingressConnectors: toJson(connectors.ingress),
    egressConnectors: toJson(connectors.egress),
    logging: input.logging === undefined ? null : toJson(input.logging),
    runHookPayload: input.runHookPayload ?? null,
    startedAtMs: app.clock.steady(),
    launchedAtMs: null,
    suspendedAtMs: null,
    suspendCause: null,
    leaseUntilMs: null,
    terminatedAtMs: null,
    report: toJson({}),
  };
}
