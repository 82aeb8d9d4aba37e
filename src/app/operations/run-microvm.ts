// RunMicrovm: writes the MicroVM as PENDING with the wish RUNNING and answers; convergence launches it.
import { randomUUID } from 'node:crypto';
import type { RunMicrovmRequest, RunMicrovmResponse } from '../../contract/generated/operations.ts';
import { newMicrovmId } from '../../lib/arn.ts';
import { Fault } from '../../lib/errors.ts';
import { findImageVersion, findLatestActiveVersion, listBuilds } from '../../store/images.ts';
import { toJson } from '../../store/json.ts';
import { insertMicrovm } from '../../store/microvms.ts';
import type { ImageRow, ImageVersionRow, MicrovmRow } from '../../store/tables.ts';
import { microvmAnswer } from '../answers.ts';
import { readSpec } from '../build-image.ts';
import { invalid, requireImage, requireMicrovm } from '../caller-checks.ts';
import { resolveConnectors } from '../connectors.ts';
import { type AppContext, leave } from '../context.ts';
import { converge } from '../convergence.ts';
import { once, replayed } from '../idempotency.ts';
import type { Caller } from '../settings.ts';

const operation = 'RunMicrovm';

export async function runMicrovm(
  app: AppContext,
  caller: Caller,
  input: RunMicrovmRequest,
): Promise<RunMicrovmResponse> {
  // First of all: what was answered once stays true, whatever has become of the image since.
  const before = await replayed(app.db, caller, operation, input);
  if (before !== undefined) return microvmAnswer(app, await requireMicrovm(app, caller, before));
  const image = await requireImage(app, caller, input.imageIdentifier, 'Malformed ARN');
  const version = await launchable(app, image, input.imageVersion);
  const { hooks, egressNetworkConnectors } = readSpec(version).asked;
  if (input.runHookPayload !== undefined && hooks?.microvmHooks?.run !== 'ENABLED') {
    throw invalid('The run hook must be enabled on the MicroVM image when runHookPayload is given.');
  }
  const { region } = app.settings;
  const row = await newRow(app, caller, input, version, {
    ingress: resolveConnectors(region, 'ingress', input.ingressNetworkConnectors),
    egress: resolveConnectors(region, 'egress', input.egressNetworkConnectors, egressNetworkConnectors),
  });
  const written = await writeDown(app, caller, input, row);
  if (written !== row.microvmId) return microvmAnswer(app, await requireMicrovm(app, caller, written));
  void converge(app, app.index.add(row, app.clock.now()));
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
    const { resource } = await once(app, caller, operation, input, async (trx) => {
      if (app.draining) throw new Fault('capacity_exhausted', { what: 'This server is being stopped.' });
      await insertMicrovm(trx, row);
      return microvmId;
    });
    written = resource;
    return resource;
  } finally {
    // Nobody will end a MicroVM that never was: its endpoint and its room are given back here.
    if (written !== microvmId) {
      leave(app, microvmId);
      await app.node.terminate(microvmId);
    }
  }
}

/** The version asked for, or the newest one that may be launched. */
async function launchable(app: AppContext, image: ImageRow, asked: string | undefined): Promise<ImageVersionRow> {
  const { imageArn, state } = image;
  const settled = state === 'CREATED' || state === 'UPDATED';
  const version =
    asked === undefined
      ? await findLatestActiveVersion(app.db, imageArn)
      : await findImageVersion(app.db, imageArn, asked);
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
    startedAtMs: app.clock.now(),
    launchedAtMs: null,
    suspendedAtMs: null,
    suspendCause: null,
    terminatedAtMs: null,
    report: toJson({}),
  };
}
