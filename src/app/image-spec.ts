// What an image version is built from: checked, with defaults resolved, and in the words of the host.
import type { CreateMicrovmImageRequest, Hooks } from '../contract/generated/operations.ts';
import type { Limits } from '../contract/limits.ts';
import type { HookPlan } from '../contract/node-api.ts';
import { isBucketName } from '../contract/object-store.ts';
import { invalid } from './caller-checks.ts';
import { resolveConnectors } from './connectors.ts';
import type { AppContext } from './context.ts';
import { type Base, resolveBase } from './managed-images.ts';
import type { Caller } from './settings.ts';

export type ImageSpec = Omit<CreateMicrovmImageRequest, 'name' | 'tags' | 'clientToken'>;

/** What is kept with a version. */
export interface StoredSpec {
  /** With defaults, as the create call echoes it. */
  asked: ImageSpec;
  base: Base;
  architecture: string;
}

const defaultMemoryMib = 2048;
const reservedKeys = /^(AWS_REGION|AWS_LAMBDA_MICROVM_.*)$/;

/** Rejects with `invalid_input`, or as `resolveConnectors` does; order and words as seen on the live service. */
export async function resolveSpec(app: AppContext, caller: Caller, input: ImageSpec): Promise<StoredSpec> {
  const { region, limits } = app.settings;
  const { architecture } = app.node.info();
  const base = resolveBase(region, input.baseImageArn, input.baseImageVersion);
  parseS3Uri(input.codeArtifact.uri);
  const memoryMib = input.resources?.[0]?.minimumMemoryInMiB ?? defaultMemoryMib;
  const offered = Object.keys(limits.sizes);
  if (!offered.includes(String(memoryMib))) {
    throw invalid(`The memory value ${memoryMib} is not offered by ${base.arn}. Use one of [${offered.join(', ')}].`);
  }
  checkArchitectures(input, limits, architecture);
  checkHooks(input.hooks);
  for (const key of Object.keys(input.environmentVariables ?? {})) {
    if (reservedKeys.test(key)) throw invalid(`The environment variable ${key} is reserved and cannot be set.`);
  }
  const connectors = await resolveConnectors(app, caller, 'egress', input.egressNetworkConnectors);
  return {
    asked: { ...input, egressNetworkConnectors: connectors, resources: [{ minimumMemoryInMiB: memoryMib }] },
    base,
    architecture,
  };
}

/** Throws `invalid_input` unless it is `s3://bucket/key`. */
export function parseS3Uri(uri: string): { bucket: string; key: string } {
  const [, bucket = '', key = ''] = /^s3:\/\/([^/]+)\/(.+)$/.exec(uri) ?? [];
  if (!isBucketName(bucket) || key === '') {
    throw invalid(`CodeArtifact URI must be a valid S3 URI of the form s3://bucket/key, not ${uri}`);
  }
  return { bucket, key };
}

/** Without `cpuConfigurations` the architecture is that of the host, in either profile. */
function checkArchitectures(input: ImageSpec, limits: Limits, architecture: string): void {
  if (limits.anyArchitecture) return;
  for (const { architecture: asked } of input.cpuConfigurations ?? []) {
    if (asked !== 'ARM_64') throw invalid(`The architecture ${asked} is not known. Use ARM_64.`);
    if (architecture === 'ARM_64') continue;
    throw invalid(`This host is ${architecture} and cannot run ARM_64 images. Use the profile open, or an ARM host.`);
  }
}

function checkHooks(hooks: Hooks | undefined): void {
  const { microvmHooks: runtime, microvmImageHooks: image, port } = hooks ?? {};
  const isOn = (state: string | undefined): boolean => state === 'ENABLED';
  const runtimeOn = [runtime?.run, runtime?.resume, runtime?.suspend, runtime?.terminate].some(isOn);
  if (runtimeOn && !isOn(image?.ready)) {
    throw invalid('The ready hook must be enabled when any of the run, resume, suspend or terminate hooks is enabled.');
  }
  if ((isOn(image?.ready) || isOn(image?.validate)) && port === undefined) {
    throw invalid('hooks.port is required when a hook is enabled.');
  }
}

/** The hooks that are enabled, with their timeouts. */
export function hookPlan(hooks: Hooks | undefined, limits: Limits): HookPlan {
  const { microvmHooks: runtime, microvmImageHooks: image, port } = hooks ?? {};
  const plan: HookPlan = port === undefined ? {} : { port };
  const { imageHookSeconds: long, microvmHookSeconds: short } = limits;
  if (image?.ready === 'ENABLED') plan.readySeconds = image.readyTimeoutInSeconds ?? long;
  if (image?.validate === 'ENABLED') plan.validateSeconds = image.validateTimeoutInSeconds ?? long;
  if (runtime?.run === 'ENABLED') plan.runSeconds = runtime.runTimeoutInSeconds ?? short;
  if (runtime?.resume === 'ENABLED') plan.resumeSeconds = runtime.resumeTimeoutInSeconds ?? short;
  if (runtime?.suspend === 'ENABLED') plan.suspendSeconds = runtime.suspendTimeoutInSeconds ?? short;
  if (runtime?.terminate === 'ENABLED') plan.terminateSeconds = runtime.terminateTimeoutInSeconds ?? short;
  return plan;
}
