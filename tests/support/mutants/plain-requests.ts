// A good request for every operation of both JSON APIs.
import { operations } from '../../../src/contract/generated/operations.ts';
import { coreOperations } from '../../../src/contract/lambda-core.ts';
import type { Operation } from '../../../src/contract/model.ts';
import type { RawRequest } from '../signed-request.ts';

export interface Names {
  imageArn: string;
  microvmId: string;
  buildId: string;
  connectorArn: string;
}

const role = 'arn:aws:iam::000000000000:role/r';
const image = {
  baseImageArn: 'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1',
  buildRoleArn: role,
  codeArtifact: { uri: 's3://nothing/here.zip' },
  hooks: { port: 9000, microvmHooks: { run: 'ENABLED' }, microvmImageHooks: { ready: 'ENABLED' } },
  environmentVariables: { A: '1' },
  logging: { cloudWatch: { logGroup: 'g' } },
};

const connector = {
  OperatorRole: role,
  Configuration: {
    VpcEgressConfiguration: {
      SubnetIds: ['subnet-0a'],
      SecurityGroupIds: ['sg-0a'],
      NetworkProtocol: 'IPv4',
      AssociatedComputeResourceTypes: ['MicroVm'],
    },
  },
};
const queries: Record<string, string> = { UntagResource: 'tagKeys=a', ListNetworkConnectors: 'MaxItems=5' };

/** One request per operation, the tag operations for each kind of resource. Tokens are fixed, so that what creates something does so once. */
export function plainRequests({ imageArn, microvmId, buildId, connectorArn }: Names): RawRequest[] {
  const bodies: Record<string, object> = {
    CreateMicrovmImage: { name: 'fuzz', clientToken: 'create', ...image },
    UpdateMicrovmImage: { clientToken: 'update', ...image },
    UpdateMicrovmImageVersion: { status: 'ACTIVE' },
    RunMicrovm: {
      imageIdentifier: imageArn,
      clientToken: 'run',
      executionRoleArn: role,
      idlePolicy: { maxIdleDurationSeconds: 600, suspendedDurationSeconds: 600, autoResumeEnabled: true },
      maximumDurationInSeconds: 3600,
    },
    CreateMicrovmAuthToken: {
      expirationInMinutes: 5,
      allowedPorts: [{ port: 80 }, { range: { startPort: 1, endPort: 9 } }],
    },
    CreateMicrovmShellAuthToken: { expirationInMinutes: 5 },
    TagResource: { Tags: { a: 'b' } },
    CreateNetworkConnector: { Name: 'office', ClientToken: 'create', Tags: { a: 'b' }, ...connector },
    UpdateNetworkConnector: { ClientToken: 'update', ...connector },
  };
  const labels: Record<string, string> = {
    imageIdentifier: imageArn,
    microvmIdentifier: microvmId,
    imageVersion: '1.0',
    buildId,
    Resource: imageArn,
    Identifier: 'office',
  };
  const all = Object.entries({ ...operations, ...coreOperations });
  const requestOf = ([name, { method, path }]: [string, Operation], names: Record<string, string>): RawRequest => ({
    method,
    path: path.replace(/\{(\w+)\}/g, (_, label: string) => encodeURIComponent(names[label] ?? '')),
    ...(method === 'GET' || queries[name] ? { query: queries[name] ?? 'maxResults=5' } : {}),
    ...(bodies[name] ? { body: JSON.stringify(bodies[name]), headers: ['Content-Type', 'application/json'] } : {}),
  });
  return all.flatMap((entry) => [
    requestOf(entry, labels),
    ...(entry[1].path.includes('{Resource}') ? [requestOf(entry, { ...labels, Resource: connectorArn })] : []),
  ]);
}
