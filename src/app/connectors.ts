// Which network connectors a MicroVM or a build is given.
import { managedConnectorArn, parseArn } from '../lib/arn.ts';
import { Fault } from '../lib/errors.ts';
import { invalid } from './caller-checks.ts';
import { requireLiveConnector } from './connector-checks.ts';
import type { AppContext } from './context.ts';
import type { Caller } from './settings.ts';

const managed = {
  ingress: ['HTTP_INGRESS', 'ALL_INGRESS', 'SHELL_INGRESS', 'NO_INGRESS'],
  egress: ['INTERNET_EGRESS'],
} as const;

const defaults = { ingress: 'HTTP_INGRESS', egress: 'INTERNET_EGRESS' } as const;

export type Direction = keyof typeof managed;

/**
 * The connectors asked for, checked; the default of the direction when none are. Rejects with `invalid_input`, `access_denied`,
 * `not_found`, or with `conflict` for an own connector that is not ACTIVE.
 */
export async function resolveConnectors(
  app: AppContext,
  caller: Caller,
  direction: Direction,
  asked: string[] | undefined,
): Promise<string[]> {
  if (!asked || asked.length === 0) return [managedConnectorArn(app.settings.region, defaults[direction])];
  for (const arn of asked) await checkConnector(app, caller, arn, direction);
  if (asked.length > 1 && asked.some((arn) => arn.endsWith(':ALL_INGRESS'))) {
    throw invalid('ALL_INGRESS cannot be combined with another ingress network connector.');
  }
  if (direction === 'egress') checkConfinement(app, asked);
  return asked;
}

const isManaged = (arn: string): boolean => parseArn(arn)?.account === 'aws';

/** `none` when only own connectors were asked for: what those lead to is not there yet, and nobody gets more than was asked for. */
export const egressOf = (connectors: readonly string[]): 'none' | undefined =>
  connectors.some(isManaged) ? undefined : 'none';

/** Throws `invalid_input` where the host would give more egress than was asked for. */
function checkConfinement({ node }: AppContext, connectors: readonly string[]): void {
  if (egressOf(connectors) !== 'none' || node.info().confinesEgress) return;
  throw invalid(
    `Network connector ${connectors[0]} cannot be used on this host, which gives internet egress to every MicroVM. Start the server with --egress none, or ask for INTERNET_EGRESS.`,
  );
}

async function checkConnector(app: AppContext, caller: Caller, arn: string, direction: Direction): Promise<void> {
  const parts = parseArn(arn);
  const [, name = ''] = /^network-connector:(.+)$/.exec(parts?.resource ?? '') ?? [];
  if (parts?.service !== 'lambda' || name === '') throw invalid(`Malformed network connector ARN: ${arn}`);
  if (parts.account !== 'aws') return checkOwn(app, caller, arn, direction, parts.account);
  const known: readonly string[] = managed[direction];
  if (parts.region !== app.settings.region || !known.some((each) => name === `aws-network-connector:${each}`)) {
    throw invalid(
      `Unrecognized managed network connector ARN: ${arn}. For ${direction} there are: ${known.join(', ')}.`,
    );
  }
}

async function checkOwn(
  app: AppContext,
  caller: Caller,
  arn: string,
  direction: Direction,
  account: string,
): Promise<void> {
  if (account !== caller.account) {
    throw new Fault('access_denied', { what: `Account ${caller.account} is not authorized to access ${arn}` });
  }
  const { state } = await requireLiveConnector(app, app.db, caller, arn);
  if (direction === 'ingress') {
    throw invalid(`Network connector ${arn} is of type VPC_EGRESS and cannot be used for ingress.`);
  }
  if (state === 'ACTIVE') return;
  const what = `Network connector ${arn} is in state ${state}. Only ACTIVE network connectors can be used.`;
  throw new Fault('conflict', { what, resourceType: 'network-connector', resourceId: arn });
}
