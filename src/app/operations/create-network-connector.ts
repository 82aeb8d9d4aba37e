// CreateNetworkConnector: writes the connector as PENDING and answers; a worker makes it ACTIVE.
import { randomUUID } from 'node:crypto';
import type { CreateNetworkConnectorRequest, NetworkConnector } from '../../contract/lambda-core.ts';
import { parseArn } from '../../lib/arn.ts';
import { Fault } from '../../lib/errors.ts';
import { countConnectors, findConnectorByName, insertConnector } from '../../store/connectors.ts';
import { toJson } from '../../store/json.ts';
import type { ConnectorRow, Database } from '../../store/tables.ts';
import { invalid } from '../caller-checks.ts';
import { checkConfiguration, connectorAnswer, requireClientToken } from '../connector-answers.ts';
import { connectorArn, connectorExists, requireLiveConnector } from '../connector-checks.ts';
import type { AppContext } from '../context.ts';
import { once, type TokenUse } from '../idempotency.ts';
import { quotaExceeded } from '../quota.ts';
import type { Caller } from '../settings.ts';
import { checkTagKeys } from '../tags.ts';

const use: TokenUse = { operation: 'CreateNetworkConnector', exists: connectorExists };

export async function createNetworkConnector(
  app: AppContext,
  caller: Caller,
  input: CreateNetworkConnectorRequest,
): Promise<NetworkConnector> {
  const { ClientToken, ...parameters } = input;
  const clientToken = requireClientToken(ClientToken);
  checkConfiguration(input.Configuration);
  checkTagKeys(Object.keys(input.Tags ?? {}));
  const row = newRow(app, caller, input);
  const { resource } = await once(app, caller, use, { ...parameters, clientToken }, async (trx) => {
    await checkRoom(app, trx, row);
    await insertConnector(trx, row);
    return row.connectorId;
  });
  const answer = connectorAnswer(await requireLiveConnector(app, app.db, caller, resource));
  void app.connectors.wake();
  return answer;
}

async function checkRoom(app: AppContext, trx: Database, { account, name }: ConnectorRow): Promise<void> {
  if (await findConnectorByName(trx, account, name)) {
    const what = `Network connector ${name} already exists in this account.`;
    throw new Fault('conflict', { what, resourceType: 'network-connector', resourceId: name });
  }
  const { maxConnectors } = app.settings.limits;
  if ((await countConnectors(trx, account)) < maxConnectors) return;
  const what = `The account has ${maxConnectors} network connectors, which is the limit. Delete one first, or raise --quota connectors.`;
  throw quotaExceeded({ quotaCode: 'network-connectors', resourceType: 'network-connector', what });
}

function newRow(app: AppContext, { account }: Caller, input: CreateNetworkConnectorRequest): ConnectorRow {
  const { Configuration, OperatorRole: operatorRole, Tags = {} } = input;
  if (operatorRole === undefined) {
    throw invalid('NetworkConnectorOperatorRole is required for VPC_EGRESS connector type');
  }
  const connectorId = `nc-${randomUUID()}`;
  const nowMs = app.clock.now();
  return {
    connectorId,
    arn: connectorArn(app.settings.region, account, connectorId),
    account,
    name: nameOf(app, account, input.Name),
    state: 'PENDING',
    stateReason: null,
    configuration: toJson(Configuration),
    operatorRole,
    version: 1,
    updateStatus: null,
    updateReason: null,
    tags: toJson(Tags),
    createdAtMs: nowMs,
    modifiedAtMs: nowMs,
    deletedAtMs: null,
  };
}

/** The name may be given as the ARN that it would have. */
function nameOf(app: AppContext, account: string, given: string): string {
  const parts = parseArn(given);
  if (!parts) return given;
  const [, name = ''] = /^network-connector:([a-zA-Z0-9_-]{1,64})$/.exec(parts.resource) ?? [];
  if (name !== '' && parts.account === account && parts.region === app.settings.region) return name;
  throw invalid(`Name ${given} is not an ARN of this account and region.`);
}
