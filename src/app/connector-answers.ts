// Network connectors in the form the API shows them, and what a configuration must have.
import type {
  GetNetworkConnectorResponse,
  NetworkConnector,
  NetworkConnectorConfiguration,
  NetworkConnectorSummary,
  UpdateNetworkConnectorResponse,
} from '../contract/lambda-core.ts';
import { Fault } from '../lib/errors.ts';
import { fromJson, type Json } from '../store/json.ts';
import type { ConnectorRow } from '../store/tables.ts';
import { invalid } from './caller-checks.ts';

export const readConfiguration = (row: ConnectorRow): NetworkConnectorConfiguration =>
  fromJson(row.configuration as Json<NetworkConnectorConfiguration>);

export const connectorAnswer = (row: ConnectorRow): NetworkConnector => ({
  Arn: row.arn,
  Name: row.name,
  Id: row.connectorId,
  Configuration: readConfiguration(row),
  OperatorRole: row.operatorRole,
  State: row.state,
});

export const updatedConnectorAnswer = (row: ConnectorRow): UpdateNetworkConnectorResponse => ({
  ...connectorAnswer(row),
  LastUpdateStatus: row.updateStatus ?? undefined,
  LastUpdateStatusReason: row.updateReason ?? undefined,
  LastModified: new Date(row.modifiedAtMs),
});

export const fullConnectorAnswer = (row: ConnectorRow): GetNetworkConnectorResponse => ({
  ...updatedConnectorAnswer(row),
  Version: row.version,
  StateReason: row.stateReason ?? undefined,
});

export const connectorSummary = (row: ConnectorRow): NetworkConnectorSummary => ({
  Arn: row.arn,
  Name: row.name,
  Id: row.connectorId,
  Type: 'VPC_EGRESS',
  State: row.state,
  LastModified: new Date(row.modifiedAtMs),
});

/** Throws `invalid_input` for members that the model leaves open and the live service insists on. */
export function checkConfiguration({ VpcEgressConfiguration: vpc }: NetworkConnectorConfiguration): void {
  for (const member of ['SubnetIds', 'NetworkProtocol', 'AssociatedComputeResourceTypes'] as const) {
    if (vpc[member] === undefined) throw invalid(`${member} cannot be null or empty for VPC_EGRESS connector type`);
  }
}

/** Throws `invalid_input` without a token: SDKs fill it in. */
export function requireClientToken(token: string | undefined): string {
  if (token !== undefined) return token;
  throw invalid('ClientToken is a required field');
}

export const connectorConflict = ({ arn, state }: ConnectorRow, doing: string): Fault =>
  new Fault('conflict', {
    what: `Network connector ${arn} is ${state} and cannot be ${doing}.`,
    resourceType: 'network-connector',
    resourceId: arn,
  });
