// Limits, patterns and enum members of the API. The SDK's schema does not carry them; they are those of the service model.
// Keys are a member name, or `Structure.member` where one name means different things; the longer key wins.

export interface Constraint {
  /** Length of a string (UTF-16 units), list or map, or value of a number. */
  min?: number;
  max?: number;
  /** Whole-string pattern. */
  pattern?: RegExp;
  /** What each element of a list, or value of a map, must satisfy. */
  each?: Constraint;
  /** What each key of a map must satisfy. */
  key?: Constraint;
}

/** A pattern as the service model has it: the whole text is meant without saying so. */
export const patternText = ({ source }: RegExp): string => source.replace(/^\^|\$$/g, '').replaceAll('\\/', '/');

const nonBlank: Constraint = { min: 1, max: 2048, pattern: /^[^\s]+$/ };
const roleArn: Constraint = {
  min: 20,
  max: 2048,
  pattern: /^arn:aws[a-z-]*:iam::[0-9]{12}:role\/?[a-zA-Z_0-9+=,.@\-_/]+$/,
};
const tagText = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u;
const connectors = (max: number): Constraint => ({ max, each: { min: 1, max: 2048 } });
const port: Constraint = { min: 1, max: 65535 };
const hookTimeout: Constraint = { min: 1, max: 60 };
const imageHookTimeout: Constraint = { min: 1, max: 3600 };

export const constraints: Readonly<Record<string, Constraint>> = {
  name: { min: 1, max: 64, pattern: /^[a-zA-Z0-9-_]+$/ },
  imageIdentifier: { min: 1, max: 256 },
  microvmIdentifier: { min: 1, max: 256 },
  baseImageArn: nonBlank,
  baseImageVersion: nonBlank,
  imageVersion: nonBlank,
  'ListMicrovmsRequest.imageVersion': {},
  buildId: nonBlank,
  uri: nonBlank,
  chipsetGeneration: nonBlank,
  buildRoleArn: roleArn,
  executionRoleArn: roleArn,
  clientToken: { min: 1, max: 128 },
  environmentVariables: { max: 50, key: { min: 1, max: 256, pattern: /^[^\s]+$/ }, each: { max: 4096 } },
  'CreateMicrovmImageRequest.egressNetworkConnectors': connectors(1),
  'UpdateMicrovmImageRequest.egressNetworkConnectors': connectors(1),
  egressNetworkConnectors: connectors(10),
  ingressNetworkConnectors: connectors(10),
  resources: { max: 1 },
  'Hooks.port': port,
  'PortSpecification.port': port,
  startPort: port,
  endPort: port,
  readyTimeoutInSeconds: imageHookTimeout,
  validateTimeoutInSeconds: imageHookTimeout,
  runTimeoutInSeconds: hookTimeout,
  resumeTimeoutInSeconds: hookTimeout,
  suspendTimeoutInSeconds: hookTimeout,
  terminateTimeoutInSeconds: hookTimeout,
  runHookPayload: { max: 4096 },
  // The upper bounds of these four depend on the profile; the use cases check them.
  maximumDurationInSeconds: { min: 1 },
  maxIdleDurationSeconds: { min: 1 },
  suspendedDurationSeconds: { min: 0 },
  expirationInMinutes: { min: 1 },
  allowedPorts: { min: 1, max: 1000 },
  maxResults: { min: 1, max: 50 },
  nextToken: { max: 2048 },
  nameFilter: { min: 1, max: 2048 },
  logGroup: { min: 1, max: 512, pattern: /^[a-zA-Z0-9_\-/.#]+$/ },
  logStream: { min: 1, max: 512, pattern: /^[^:*]*$/ },
  Resource: {
    min: 1,
    max: 10_000,
    pattern:
      /^arn:aws[a-z0-9-]*:lambda:[a-z0-9-]+:[0-9]{12}:(function|layer|event-source-mapping|code-signing-config|capacity-provider|network-connector|microvm-image):[a-zA-Z0-9-_$:.]+$/,
  },
  Tags: { max: 50, key: { min: 1, max: 128, pattern: tagText }, each: { max: 256, pattern: tagText } },
  TagKeys: { min: 1, max: 50, each: { min: 1, max: 128, pattern: tagText } },
  tags: { max: 50, key: { min: 1, max: 128, pattern: tagText }, each: { max: 256, pattern: tagText } },
};

/** Members whose text is one of a closed list. `architecture` is wider than AWS's; the profile narrows it. */
export const enums: Readonly<Record<string, readonly string[]>> = {
  ready: ['ENABLED', 'DISABLED'],
  validate: ['ENABLED', 'DISABLED'],
  run: ['ENABLED', 'DISABLED'],
  resume: ['ENABLED', 'DISABLED'],
  suspend: ['ENABLED', 'DISABLED'],
  terminate: ['ENABLED', 'DISABLED'],
  architecture: ['ARM_64', 'X86_64'],
  additionalOsCapabilities: ['ALL'],
  // What AWS has, and what this service answers.
  'ListMicrovmImageBuildsInput.chipset': ['GRAVITON', 'GENERIC'],
  'UpdateMicrovmImageVersionRequest.status': ['ACTIVE', 'INACTIVE'],
};
