// The limits of the service models of lambda-microvms 2025-09-09 and lambda-core 2026-04-30, written down a second time, by hand, for tests of the first.

export interface Row {
  /** Length of text, list or map; value of a number. */
  min?: number;
  max?: number;
  /** Legal text of a length; 'x' again and again when absent. */
  text?(length: number): string;
  /** Of legal length, but not of the pattern or the enum. */
  bad?: readonly string[];
  allowed?: readonly string[];
  /** Limits of keys and values of a map. */
  key?: Row;
  each?: Row;
}

const anything: Row = { max: Number.POSITIVE_INFINITY };
const word: Row = { min: 1, max: 2048, bad: ['a b', ' ', 'a\n', '\t'] };
const role: Row = {
  min: 20,
  max: 2048,
  text: (length) => 'arn:aws:iam::123456789012:role/'.padEnd(length, 'r'),
  bad: [
    'arn:aws:iam::12345678901:role/r',
    'arn:aws:s3::123456789012:role/r',
    'arn:aws:iam::123456789012:role/ä',
    'x'.repeat(20),
  ],
};
const state: Row = { allowed: ['ENABLED', 'DISABLED'] };
const port: Row = { min: 1, max: 65_535 };
const hookSeconds: Row = { min: 1, max: 60 };
const imageHookSeconds: Row = { min: 1, max: 3600 };
const connectors = (max: number): Row => ({ max, each: { min: 1, max: 2048 } });
const tagKey: Row = { min: 1, max: 128, bad: ['a!', 'a*'] };
const tagValue: Row = { max: 256, bad: ['a!', '\n'] };
const connectorArn = 'arn:aws:lambda:us-east-1:123456789012:network-connector:';
const named = (prefix: string, bad: string[]): Row => ({
  ...{ min: 1, max: 1024, bad },
  text: (length) => `${prefix}0`.padEnd(length, '0'),
});

/** By member, or `Structure.member` where one name means different things. */
export const rows: Record<string, Row> = {
  name: { min: 1, max: 64, bad: ['a b', 'a.b', 'ä', 'a\n', 'a:b'] },
  imageIdentifier: { min: 1, max: 256 },
  microvmIdentifier: { min: 1, max: 256 },
  baseImageArn: word,
  baseImageVersion: word,
  imageVersion: word,
  'ListMicrovmsRequest.imageVersion': anything,
  buildId: word,
  uri: word,
  chipsetGeneration: word,
  buildRoleArn: role,
  executionRoleArn: role,
  description: anything,
  clientToken: { min: 1, max: 128 },
  environmentVariables: { max: 50, key: { min: 1, max: 256, bad: ['a b', '\n'] }, each: { max: 4096 } },
  egressNetworkConnectors: connectors(1),
  'RunMicrovmRequest.egressNetworkConnectors': connectors(10),
  ingressNetworkConnectors: connectors(10),
  resources: { max: 1 },
  minimumMemoryInMiB: {},
  cpuConfigurations: {},
  architecture: { allowed: ['ARM_64', 'X86_64'] },
  chipset: { allowed: ['GRAVITON', 'GENERIC'] },
  additionalOsCapabilities: { each: { allowed: ['ALL'] } },
  'Hooks.port': port,
  'PortSpecification.port': port,
  startPort: port,
  endPort: port,
  readyTimeoutInSeconds: imageHookSeconds,
  validateTimeoutInSeconds: imageHookSeconds,
  runTimeoutInSeconds: hookSeconds,
  resumeTimeoutInSeconds: hookSeconds,
  suspendTimeoutInSeconds: hookSeconds,
  terminateTimeoutInSeconds: hookSeconds,
  run: state,
  resume: state,
  suspend: state,
  terminate: state,
  ready: state,
  validate: state,
  runHookPayload: { max: 4096 },
  maximumDurationInSeconds: { min: 1, max: 28_800 },
  maxIdleDurationSeconds: { min: 60, max: 28_800 },
  suspendedDurationSeconds: { min: 0 },
  autoResumeEnabled: {},
  expirationInMinutes: { min: 1 },
  allowedPorts: { min: 1 },
  maxResults: { min: 1, max: 50 },
  // The model has no bound; what this service hands out is far shorter.
  nextToken: { max: 2048 },
  nameFilter: { min: 1, max: 2048 },
  logGroup: { min: 1, max: 512, bad: ['a b', 'a:b', 'ä'] },
  logStream: { min: 1, max: 512, bad: ['a:b', 'a*'] },
  status: { allowed: ['ACTIVE', 'INACTIVE'] },
  tags: { max: 50, key: tagKey, each: tagValue },
  Resource: {
    min: 1,
    max: 10_000,
    text: (length) => 'arn:aws:lambda:us-east-1:123456789012:microvm-image:d'.padEnd(length, 'd'),
    bad: [
      'arn:aws:lambda:us-east-1:123456789012:microvm:x',
      'arn:aws:lambda:us-east-1:aws:microvm-image:x',
      'arn:aws:s3:us-east-1:123456789012:microvm-image:x',
      'arn:aws:lambda:us-east-1:123456789012:microvm-image:a b',
    ],
  },
  Tags: { max: 50, key: tagKey, each: tagValue },
  TagKeys: { min: 1, max: 50, each: tagKey },
  Name: {
    min: 1,
    max: 140,
    text: (length) => (length <= 64 ? 'x'.repeat(length) : connectorArn.padEnd(length, 'x')),
    bad: ['a b', 'a.b', 'ä', 'x'.repeat(65), connectorArn],
  },
  Identifier: { min: 1, max: 140 },
  OperatorRole: { ...role, min: 1, max: 10_000 },
  ClientToken: { min: 1, max: 64 },
  SubnetIds: { min: 1, max: 16, each: named('subnet-', ['sg-0a', 'subnet-A', 'subnet-']) },
  SecurityGroupIds: { max: 5, each: named('sg-', ['subnet-0a', 'sg-a_', 'sg-']) },
  NetworkProtocol: { allowed: ['IPv4', 'DualStack'] },
  AssociatedComputeResourceTypes: { min: 1, max: 1, each: { allowed: ['MicroVm'] } },
  State: { allowed: ['PENDING', 'ACTIVE', 'INACTIVE', 'FAILED', 'DELETING', 'DELETE_FAILED'] },
  MaxItems: { min: 1, max: 100 },
  Marker: { max: 2048 },
};
/** Members of which only shape and presence are looked at here. */
export const free = new Set(['codeArtifact', 'logging', 'hooks', 'idlePolicy', 'disabled']);
/** Members that only hold others. */
export const structural = new Set([
  'cloudWatch',
  'microvmHooks',
  'microvmImageHooks',
  'range',
  'allPorts',
  'Configuration',
  'VpcEgressConfiguration',
]);
