// The network connector API, `lambda-core` 2026-04-30, in the form of the generated operation table. Written by hand: there is no JavaScript client to
// generate it from. Reference h.2.
import type { Constraint } from './constraints.ts';
import type { ErrorShape, Member, Operation, Structure } from './model.ts';
import type { ConnectorState, ConnectorUpdateStatus } from './states.ts';

export interface VpcEgressConfiguration {
  SubnetIds?: string[] | undefined;
  SecurityGroupIds?: string[] | undefined;
  NetworkProtocol?: string | undefined;
  AssociatedComputeResourceTypes?: string[] | undefined;
}

export interface NetworkConnectorConfiguration {
  VpcEgressConfiguration: VpcEgressConfiguration;
}

export interface CreateNetworkConnectorRequest {
  Name: string;
  Configuration: NetworkConnectorConfiguration;
  OperatorRole?: string | undefined;
  ClientToken?: string | undefined;
  Tags?: Record<string, string> | undefined;
}

export interface NetworkConnector {
  Arn: string;
  Name: string;
  Id: string;
  Configuration?: NetworkConnectorConfiguration | undefined;
  OperatorRole?: string | undefined;
  State?: ConnectorState | undefined;
}

export interface UpdateNetworkConnectorResponse extends NetworkConnector {
  LastUpdateStatus?: ConnectorUpdateStatus | undefined;
  LastUpdateStatusReason?: string | undefined;
  LastModified?: Date | undefined;
}

export interface GetNetworkConnectorResponse extends UpdateNetworkConnectorResponse {
  Version?: number | undefined;
  StateReason?: string | undefined;
}

export interface NetworkConnectorIdentifier {
  Identifier: string;
}

export interface UpdateNetworkConnectorRequest extends NetworkConnectorIdentifier {
  Configuration?: NetworkConnectorConfiguration | undefined;
  OperatorRole?: string | undefined;
  ClientToken?: string | undefined;
}

export interface ListNetworkConnectorsRequest {
  State?: ConnectorState | undefined;
  Marker?: string | undefined;
  MaxItems?: number | undefined;
}

export interface NetworkConnectorSummary {
  Arn: string;
  Name: string;
  Id: string;
  Type: 'VPC_EGRESS';
  State?: ConnectorState | undefined;
  LastModified?: Date | undefined;
}

export interface ListNetworkConnectorsResponse {
  NetworkConnectors: NetworkConnectorSummary[];
  NextMarker?: string | undefined;
}

export interface CoreOperationTypes {
  CreateNetworkConnector: { input: CreateNetworkConnectorRequest; output: NetworkConnector };
  GetNetworkConnector: { input: NetworkConnectorIdentifier; output: GetNetworkConnectorResponse };
  ListNetworkConnectors: { input: ListNetworkConnectorsRequest; output: ListNetworkConnectorsResponse };
  UpdateNetworkConnector: { input: UpdateNetworkConnectorRequest; output: UpdateNetworkConnectorResponse };
  DeleteNetworkConnector: { input: NetworkConnectorIdentifier; output: NetworkConnector };
}

export type CoreOperationName = keyof CoreOperationTypes;

const text: Member = { shape: 'string' };
const needed: Member = { shape: 'string', required: true };
const strings: Member = { shape: { list: 'string' } };
const identifier: Member = { ...needed, in: 'label' };
const configuration: Member = { shape: { ref: 'NetworkConnectorConfiguration' } };
const connector = {
  Arn: needed,
  Name: needed,
  Id: needed,
  Configuration: configuration,
  OperatorRole: text,
  State: text,
};
const modified: Member = { shape: 'isoTimestamp' };
const update = { LastUpdateStatus: text, LastUpdateStatusReason: text, LastModified: modified };

export const coreStructures: Readonly<Record<string, Structure>> = {
  NetworkConnectorConfiguration: {
    kind: 'union',
    members: { VpcEgressConfiguration: { shape: { ref: 'NetworkConnectorVpcEgressConfiguration' } } },
  },
  NetworkConnectorVpcEgressConfiguration: {
    kind: 'structure',
    members: {
      SubnetIds: strings,
      SecurityGroupIds: strings,
      NetworkProtocol: text,
      AssociatedComputeResourceTypes: strings,
    },
  },
  CreateNetworkConnectorRequest: {
    kind: 'structure',
    members: {
      Name: needed,
      Configuration: { ...configuration, required: true },
      OperatorRole: text,
      ClientToken: text,
      Tags: { shape: { map: 'string' } },
    },
  },
  NetworkConnectorIdentifier: { kind: 'structure', members: { Identifier: identifier } },
  UpdateNetworkConnectorRequest: {
    kind: 'structure',
    members: { Identifier: identifier, Configuration: configuration, OperatorRole: text, ClientToken: text },
  },
  ListNetworkConnectorsRequest: {
    kind: 'structure',
    members: {
      State: { ...text, in: 'query', wireName: 'State' },
      Marker: { ...text, in: 'query', wireName: 'Marker' },
      MaxItems: { shape: 'number', in: 'query', wireName: 'MaxItems' },
    },
  },
  NetworkConnector: { kind: 'structure', members: connector },
  UpdateNetworkConnectorResponse: { kind: 'structure', members: { ...connector, ...update } },
  GetNetworkConnectorResponse: {
    kind: 'structure',
    members: { ...connector, ...update, Version: { shape: 'number' }, StateReason: text },
  },
  NetworkConnectorSummary: {
    kind: 'structure',
    members: { Arn: needed, Name: needed, Id: needed, Type: needed, State: text, LastModified: modified },
  },
  ListNetworkConnectorsResponse: {
    kind: 'structure',
    members: {
      NetworkConnectors: { shape: { list: { ref: 'NetworkConnectorSummary' } }, required: true },
      NextMarker: text,
    },
  },
};

const path = '/2026-04-04/network-connectors';

export const coreOperations: Readonly<Record<CoreOperationName, Operation>> = {
  CreateNetworkConnector: {
    ...{ method: 'POST', path, status: 202 },
    ...{ input: 'CreateNetworkConnectorRequest', output: 'NetworkConnector' },
  },
  GetNetworkConnector: {
    ...{ method: 'GET', path: `${path}/{Identifier}`, status: 200 },
    ...{ input: 'NetworkConnectorIdentifier', output: 'GetNetworkConnectorResponse' },
  },
  ListNetworkConnectors: {
    ...{ method: 'GET', path, status: 200 },
    ...{ input: 'ListNetworkConnectorsRequest', output: 'ListNetworkConnectorsResponse' },
  },
  UpdateNetworkConnector: {
    ...{ method: 'PUT', path: `${path}/{Identifier}`, status: 202 },
    ...{ input: 'UpdateNetworkConnectorRequest', output: 'UpdateNetworkConnectorResponse' },
  },
  DeleteNetworkConnector: {
    ...{ method: 'DELETE', path: `${path}/{Identifier}`, status: 202 },
    ...{ input: 'NetworkConnectorIdentifier', output: 'NetworkConnector' },
  },
};

/** Two of them spell `Message` with a capital. */
export const coreErrors = {
  InvalidParameterValueException: { status: 400, members: ['Type', 'message'] },
  NetworkConnectorLimitExceededException: { status: 400, members: ['Type', 'message'] },
  ResourceConflictException: { status: 409, members: ['Type', 'message'] },
  ResourceNotFoundException: { status: 404, members: ['Type', 'Message'] },
  ServiceException: { status: 500, members: ['Type', 'Message'] },
  TooManyRequestsException: { status: 429, members: ['Type', 'message', 'Reason', 'retryAfterSeconds'] },
} as const satisfies Record<string, ErrorShape>;

const connectorArn = String.raw`arn:aws[a-zA-Z-]*:lambda:[a-z0-9-]+:\d{12}:network-connector:[a-zA-Z0-9-_]+(:[1-9][0-9]*)?`;

export const coreConstraints: Readonly<Record<string, Constraint>> = {
  Name: { min: 1, max: 140, pattern: new RegExp(`^(${connectorArn}|[a-zA-Z0-9_-]{1,64})$`) },
  Identifier: { min: 1, max: 140 },
  OperatorRole: {
    min: 1,
    max: 10_000,
    pattern: /^arn:aws[a-zA-Z-]*:iam::\d{12}:role\/?[a-zA-Z_0-9+=,.@\-_/]+$/,
  },
  ClientToken: { min: 1, max: 64 },
  SubnetIds: { min: 1, max: 16, each: { min: 1, max: 1024, pattern: /^subnet-[0-9a-z]+$/ } },
  SecurityGroupIds: { max: 5, each: { min: 1, max: 1024, pattern: /^sg-[0-9a-zA-Z]+$/ } },
  AssociatedComputeResourceTypes: { min: 1, max: 1 },
  Marker: { max: 2048 },
  MaxItems: { min: 1, max: 100 },
};

export const coreEnums: Readonly<Record<string, readonly string[]>> = {
  NetworkProtocol: ['IPv4', 'DualStack'],
  AssociatedComputeResourceTypes: ['MicroVm'],
  State: ['PENDING', 'ACTIVE', 'INACTIVE', 'FAILED', 'DELETING', 'DELETE_FAILED'],
};
