// ARNs and identifiers as the API shows them. Reference b.1.
import { randomUUID } from 'node:crypto';

export interface ArnParts {
  partition: string;
  service: string;
  region: string;
  account: string;
  resource: string;
}

/** Splits `arn:partition:service:region:account:resource`; undefined when it is not an ARN. */
export function parseArn(text: string): ArnParts | undefined {
  const match = /^arn:([a-z0-9-]+):([a-z0-9-]+):([a-z0-9-]*):([a-z0-9-]*):(.+)$/.exec(text);
  if (!match) return undefined;
  const [, partition = '', service = '', region = '', account = '', resource = ''] = match;
  return { partition, service, region, account, resource };
}

export const imageArn = (region: string, account: string, name: string): string =>
  `arn:aws:lambda:${region}:${account}:microvm-image:${name}`;

export const managedImageArn = (region: string, name: string): string =>
  `arn:aws:lambda:${region}:aws:microvm-image:${name}`;

export const managedConnectorArn = (region: string, name: string): string =>
  `arn:aws:lambda:${region}:aws:network-connector:aws-network-connector:${name}`;

export const newMicrovmId = (): string => `microvm-${randomUUID()}`;
