// Managed base images. Ours name a guest kernel and agent; AWS's only one is accepted as another name for it.
import { managedImageArn } from '../lib/arn.ts';
import { invalid } from './caller-checks.ts';

const newest = '1';
/** Names under which a base may be asked for, and the base that is used. */
const bases: Readonly<Record<string, string>> = { 'debian-12-1': 'debian-12-1', 'al2023-1': 'debian-12-1' };
const releasedAt = new Date(Date.UTC(2026, 10, 22));

export interface Base {
  arn: string;
  /** As the service echoes it on versions. */
  version: string;
}

/** Rejects unknown bases and versions as the live service does. */
export function resolveBase(region: string, arn: string, version: string | undefined): Base {
  const name = Object.keys(bases).find((known) => managedImageArn(region, known) === arn);
  const base = name === undefined ? undefined : bases[name];
  if (base === undefined) {
    const known = Object.keys(bases).map((each) => managedImageArn(region, each));
    throw invalid(`No managed MicroVM Image with arn ${arn}. There are: ${known.join(', ')}.`);
  }
  if (version !== undefined && version !== newest) {
    throw invalid(`No managed MicroVM Image with arn ${arn} and version ${version}. The only version is ${newest}.`);
  }
  return { arn: managedImageArn(region, base), version: `${newest}.0` };
}

/** Undefined when there is no such base. */
export function managedImageVersions(
  region: string,
  arn: string,
): { imageArn: string; imageVersion: string; status: string; createdAt: Date; updatedAt: Date }[] | undefined {
  if (!Object.keys(bases).some((name) => managedImageArn(region, name) === arn)) return undefined;
  const times = { createdAt: releasedAt, updatedAt: releasedAt };
  return [{ imageArn: arn, imageVersion: newest, status: 'AVAILABLE', ...times }];
}

export const managedImages = (region: string): { imageArn: string; createdAt: Date; updatedAt: Date }[] =>
  Object.keys(bases).map((name) => ({
    imageArn: managedImageArn(region, name),
    createdAt: releasedAt,
    updatedAt: releasedAt,
  }));
