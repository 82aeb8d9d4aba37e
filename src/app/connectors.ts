// Network connectors by ARN. Only the managed ones exist; own connectors come with their API.
import { managedConnectorArn, parseArn } from '../lib/arn.ts';
import { invalid } from './caller-checks.ts';

const managed = {
  ingress: ['HTTP_INGRESS', 'ALL_INGRESS', 'SHELL_INGRESS', 'NO_INGRESS'],
  egress: ['INTERNET_EGRESS'],
} as const;

const defaults = { ingress: 'HTTP_INGRESS', egress: 'INTERNET_EGRESS' } as const;

export type Direction = keyof typeof managed;

export const defaultConnector = (region: string, direction: Direction): string =>
  managedConnectorArn(region, defaults[direction]);

/** The connectors asked for, checked; the default of the direction when none are. */
export function resolveConnectors(
  region: string,
  direction: Direction,
  asked: string[] | undefined,
  fallback: string[] = [defaultConnector(region, direction)],
): string[] {
  if (!asked || asked.length === 0) return fallback;
  for (const arn of asked) checkConnector(arn, direction);
  if (asked.length > 1 && asked.some((arn) => arn.endsWith(':ALL_INGRESS'))) {
    throw invalid('ALL_INGRESS cannot be combined with another ingress network connector.');
  }
  return asked;
}

function checkConnector(arn: string, direction: Direction): void {
  const parts = parseArn(arn);
  const [, name = ''] = /^network-connector:(.+)$/.exec(parts?.resource ?? '') ?? [];
  if (parts?.service !== 'lambda' || name === '') throw invalid(`Malformed network connector ARN: ${arn}`);
  if (parts.account !== 'aws') {
    throw invalid(`Network connector ${arn} does not exist: this version has the managed network connectors only.`);
  }
  const known: readonly string[] = managed[direction];
  if (!known.some((each) => name === `aws-network-connector:${each}`)) {
    throw invalid(
      `Unrecognized managed network connector ARN: ${arn}. For ${direction} there are: ${known.join(', ')}.`,
    );
  }
}
