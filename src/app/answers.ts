// Rows in the form the API shows them.
import type {
  GetMicrovmImageOutput,
  GetMicrovmImageVersionOutput,
  GetMicrovmResponse,
  MicrovmImageBuildSummary,
} from '../contract/generated/operations.ts';
import { fromJson } from '../store/json.ts';
import type { BuildRow, ImageRow, ImageVersionRow, MicrovmRow } from '../store/tables.ts';
import { readSpec } from './build-image.ts';
import type { AppContext } from './context.ts';

/** One kind of processor per architecture: the API's words for it have no AWS member that would be true here. */
export const chipset = { chipset: 'GENERIC', chipsetGeneration: '1' } as const;

export function microvmAnswer(app: AppContext, row: MicrovmRow): GetMicrovmResponse {
  return {
    microvmId: row.microvmId,
    state: row.state,
    endpoint: app.endpointOf?.(row.microvmId, row.host) ?? row.host,
    imageArn: row.imageArn,
    imageVersion: row.imageVersion,
    maximumDurationInSeconds: row.maximumDurationSeconds,
    startedAt: new Date(row.startedAtMs),
    executionRoleArn: row.executionRoleArn ?? undefined,
    idlePolicy: idlePolicyOf(row),
    terminatedAt: dateOf(row.terminatedAtMs),
    stateReason: row.stateReason ?? undefined,
    ingressNetworkConnectors: fromJson(row.ingressConnectors),
    egressNetworkConnectors: fromJson(row.egressConnectors),
  };
}

function idlePolicyOf(row: MicrovmRow): GetMicrovmResponse['idlePolicy'] {
  if (row.maxIdleSeconds === null || row.suspendedSeconds === null) return undefined;
  return {
    maxIdleDurationSeconds: row.maxIdleSeconds,
    suspendedDurationSeconds: row.suspendedSeconds,
    autoResumeEnabled: row.autoResume === 1,
  };
}

const dateOf = (ms: number | null): Date | undefined => (ms === null ? undefined : new Date(ms));

export const imageAnswer = (image: ImageRow): GetMicrovmImageOutput & { updatedAt: Date } => ({
  imageArn: image.imageArn,
  name: image.name,
  state: image.state,
  createdAt: new Date(image.createdAtMs),
  latestActiveImageVersion: image.latestActiveVersion ?? undefined,
  latestFailedImageVersion: image.latestFailedVersion ?? undefined,
  tags: fromJson(image.tags),
  updatedAt: new Date(image.updatedAtMs),
});

/** Says what was really used: the base that an alias stands for, the architecture of the host. */
export function versionAnswer(image: ImageRow, version: ImageVersionRow): GetMicrovmImageVersionOutput {
  const { asked, base, architecture } = readSpec(version);
  return {
    ...asked,
    baseImageArn: base.arn,
    baseImageVersion: base.version,
    cpuConfigurations: [{ architecture }],
    imageArn: version.imageArn,
    imageVersion: version.version,
    state: version.state,
    status: version.status,
    createdAt: new Date(version.createdAtMs),
    updatedAt: new Date(version.updatedAtMs),
    stateReason: version.stateReason ?? undefined,
    tags: fromJson(image.tags),
  };
}

export const buildAnswer = (build: BuildRow): MicrovmImageBuildSummary => ({
  imageArn: build.imageArn,
  imageVersion: build.version,
  buildId: build.buildId,
  buildState: build.state,
  architecture: build.architecture,
  ...chipset,
  createdAt: new Date(build.createdAtMs),
  stateReason: build.stateReason ?? undefined,
});
