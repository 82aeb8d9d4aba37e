// Bad input with the real client: the errors of the live service, in its words where they are known.
import {
  CreateMicrovmAuthTokenCommand,
  CreateMicrovmImageCommand,
  type CreateMicrovmImageCommandInput,
  DeleteMicrovmImageCommand,
  GetMicrovmCommand,
  GetMicrovmImageBuildCommand,
  GetMicrovmImageCommand,
  GetMicrovmImageVersionCommand,
  ListMicrovmsCommand,
  RunMicrovmCommand,
  type RunMicrovmCommandInput,
  SuspendMicrovmCommand,
} from '@aws-sdk/client-lambda-microvms';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { demoArn, imageRequest } from '../../src/app/testing/test-app.ts';
import { type ControlPlaneRig, controlPlaneRig } from './control-plane-rig.ts';

let rig: ControlPlaneRig;
let microvmIdentifier: string | undefined;

beforeAll(async () => {
  rig = await controlPlaneRig();
  await rig.client.send(new CreateMicrovmImageCommand(imageRequest));
  await rig.t.settle();
  microvmIdentifier = (await rig.client.send(new RunMicrovmCommand({ imageIdentifier: demoArn }))).microvmId;
  await rig.t.settle();
});
afterAll(() => rig[Symbol.asyncDispose]());

const validation = (message: string) => ({
  name: 'ValidationException',
  $metadata: { httpStatusCode: 400 },
  message: expect.stringContaining(message),
});
const of = (name: string, httpStatusCode: number, message: string) => ({
  name,
  $metadata: { httpStatusCode, requestId: expect.any(String) },
  message: expect.stringContaining(message),
});

const other = 'arn:aws:lambda:us-east-1:123456789012:microvm-image:other';
const managed = 'arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:';
const badRuns: [string, Partial<RunMicrovmCommandInput>, object][] = [
  ['a bare name', { imageIdentifier: 'demo' }, validation('Malformed ARN demo')],
  ['no image', { imageIdentifier: '' }, validation("Value at 'imageIdentifier' failed to satisfy constraint")],
  [
    'an unknown image',
    { imageIdentifier: other },
    of('ResourceNotFoundException', 404, `MicroVMImage not found for MicroVMImageID: ${other}`),
  ],
  [
    'a slash before the name',
    { imageIdentifier: demoArn.replace(':demo', '/demo') },
    of('AccessDeniedException', 403, 'not authorized'),
  ],
  [
    'another account',
    { imageIdentifier: demoArn.replace('123456789012', '210987654321') },
    of('AccessDeniedException', 403, 'not authorized'),
  ],
  [
    'an unknown version',
    { imageVersion: '7.0' },
    of('ResourceNotFoundException', 404, `No active version found for MicroVM image ${demoArn} and version 7.0`),
  ],
  [
    'a payload too long',
    { runHookPayload: 'x'.repeat(4097) },
    validation(
      "1 validation error detected: Value at 'runHookPayload' failed to satisfy constraint: Member must have length less than or equal to 4096",
    ),
  ],
  [
    'a payload too long for an unknown image',
    { imageIdentifier: 'demo', runHookPayload: 'x'.repeat(4097) },
    validation("Value at 'runHookPayload'"),
  ],
  ['a payload without a run hook', { runHookPayload: 'x' }, validation('run hook must be enabled')],
  [
    'a duration too long',
    { maximumDurationInSeconds: 28_801 },
    validation('Member must be less than or equal to 28800'),
  ],
  ['a duration of nothing', { maximumDurationInSeconds: 0 }, validation('Member must be greater than or equal to 1')],
  ['a role that is none', { executionRoleArn: 'arn:aws:iam::12:role/x' }, validation("Value at 'executionRoleArn'")],
  [
    'an idle policy without all members',
    { idlePolicy: { maxIdleDurationSeconds: 60 } as never },
    validation(
      "2 validation errors detected: Value at 'idlePolicy.suspendedDurationSeconds' failed to satisfy constraint: Member must not be null",
    ),
  ],
  [
    'a connector by name',
    { egressNetworkConnectors: ['INTERNET_EGRESS'] },
    validation('Malformed network connector ARN'),
  ],
  [
    'an unknown connector',
    { egressNetworkConnectors: [`${managed}NO_EGRESS`] },
    validation('Unrecognized managed network connector ARN'),
  ],
  [
    'too many connectors',
    { ingressNetworkConnectors: Array(11).fill(`${managed}HTTP_INGRESS`) },
    validation("Value at 'ingressNetworkConnectors'"),
  ],
  [
    'two kinds of logging',
    { logging: { disabled: {}, cloudWatch: {} } as never },
    validation("Value at 'logging' failed to satisfy constraint: Member must have exactly one of"),
  ],
];

test.each(badRuns)('run with %s', async (_what, input, error) => {
  await expect(rig.client.send(new RunMicrovmCommand({ imageIdentifier: demoArn, ...input }))).rejects.toMatchObject(
    error,
  );
});

const hooks = { port: 9000, microvmHooks: { run: 'ENABLED' } } as const;
const badImages: [string, Partial<CreateMicrovmImageCommandInput>, object][] = [
  ['a name that exists', { name: 'demo' }, validation('already exists in this account')],
  [
    'a name with a blank',
    { name: 'a b' },
    validation('Member must satisfy regular expression pattern: [a-zA-Z0-9-_]+'),
  ],
  [
    'an unknown base',
    { baseImageArn: imageRequest.baseImageArn.replace('al2023-1', 'al2029-1') },
    validation('No managed MicroVM Image with arn'),
  ],
  ['an unknown base version', { baseImageVersion: '99' }, validation('No managed MicroVM Image with arn')],
  ['a memory value not offered', { resources: [{ minimumMemoryInMiB: 777 }] }, validation('Use one of [512, 2048]')],
  [
    'two sizes',
    { resources: [{ minimumMemoryInMiB: 512 }, { minimumMemoryInMiB: 512 }] },
    validation("Value at 'resources'"),
  ],
  [
    'an image of a registry',
    { codeArtifact: { uri: '123.dkr.ecr.us-east-1.amazonaws.com/x' } },
    validation('CodeArtifact URI must be a valid S3 URI'),
  ],
  [
    'an S3 URI without a key',
    { codeArtifact: { uri: 's3://bucket' } },
    validation('CodeArtifact URI must be a valid S3 URI'),
  ],
  [
    'no artifact',
    { codeArtifact: undefined },
    validation("Value at 'codeArtifact' failed to satisfy constraint: Member must not be null"),
  ],
  ['an empty union', { codeArtifact: {} as never }, validation('Member must have exactly one of [uri]')],
  ['a run hook without ready', { hooks }, validation('ready hook must be enabled')],
  [
    'hooks without a port',
    { hooks: { microvmImageHooks: { ready: 'ENABLED' } } },
    validation('hooks.port is required'),
  ],
  [
    'a hook timeout too long',
    { hooks: { ...hooks, microvmHooks: { run: 'ENABLED', runTimeoutInSeconds: 61 } } },
    validation("Value at 'hooks.microvmHooks.runTimeoutInSeconds'"),
  ],
  [
    'a hook state unknown',
    { hooks: { ...hooks, microvmHooks: { run: 'MAYBE' as never } } },
    validation('Member must satisfy enum value set: [ENABLED, DISABLED]'),
  ],
  ['a reserved variable', { environmentVariables: { AWS_REGION: 'x' } }, validation('AWS_REGION is reserved')],
  [
    'too many variables',
    { environmentVariables: Object.fromEntries(Array.from({ length: 51 }, (_, i) => [`V${i}`, ''])) },
    validation("Value at 'environmentVariables'"),
  ],
  [
    'a value too long',
    { environmentVariables: { A: 'x'.repeat(4097) } },
    validation("Value at 'environmentVariables.A.member'"),
  ],
  [
    'a capability unknown',
    { additionalOsCapabilities: ['SYS_ADMIN' as never] },
    validation("Value at 'additionalOsCapabilities.1.member'"),
  ],
  [
    'a memory value that is text',
    { resources: [{ minimumMemoryInMiB: '512' as never }] },
    of('SerializationException', 400, "The value at 'resources.1.member.minimumMemoryInMiB' must be an integer"),
  ],
];

test.each(badImages)('create an image with %s', async (_what, input, error) => {
  const request = { ...imageRequest, name: 'another', ...input } as CreateMicrovmImageCommandInput;
  await expect(rig.client.send(new CreateMicrovmImageCommand(request))).rejects.toMatchObject(error);
});

test('the rest of what can be asked wrongly', async () => {
  const port = { allowedPorts: [{ port: 80 }] };
  const token = (input: object) =>
    new CreateMicrovmAuthTokenCommand({ microvmIdentifier, expirationInMinutes: 5, ...port, ...input });
  const cases: [object, object][] = [
    [new GetMicrovmImageCommand({ imageIdentifier: 'demo' }), validation('Invalid ARN format')],
    [new GetMicrovmImageCommand({ imageIdentifier: 'a'.repeat(257) }), validation("Value at 'imageIdentifier'")],
    [new GetMicrovmImageCommand({ imageIdentifier: other }), of('ResourceNotFoundException', 404, 'not found')],
    [
      new GetMicrovmImageVersionCommand({ imageIdentifier: demoArn, imageVersion: '2.0' }),
      of('ResourceNotFoundException', 404, 'Version 2.0'),
    ],
    [
      new GetMicrovmImageBuildCommand({ imageIdentifier: demoArn, imageVersion: '1.0', buildId: 'x' }),
      of('ResourceNotFoundException', 404, 'Build x'),
    ],
    [
      new GetMicrovmCommand({ microvmIdentifier: 'microvm-x' }),
      {
        ...of('ResourceNotFoundException', 404, 'Unable to find microvmIdentifier microvm-x'),
        resourceType: 'microvm',
        resourceId: 'microvm-x',
      },
    ],
    [new GetMicrovmCommand({ microvmIdentifier: '../x?y#z' }), of('ResourceNotFoundException', 404, '../x?y#z')],
    [new GetMicrovmCommand({ microvmIdentifier: '' }), validation("Value at 'microvmIdentifier'")],
    [new SuspendMicrovmCommand({ microvmIdentifier: 'nobody' }), of('ResourceNotFoundException', 404, 'nobody')],
    [new ListMicrovmsCommand({ maxResults: 51 }), validation("Value at 'maxResults'")],
    [new ListMicrovmsCommand({ nextToken: 'garbage' }), validation('Invalid nextToken')],
    [new ListMicrovmsCommand({ imageIdentifier: 'demo' }), validation('Invalid ARN format')],
    [token({ expirationInMinutes: 61 }), validation('ExpirationMinutes 61 exceeded max allowed of 60.')],
    [token({ expirationInMinutes: 0 }), validation("Value at 'expirationInMinutes'")],
    [token({ allowedPorts: [] }), validation("Value at 'allowedPorts'")],
    [token({ allowedPorts: [{ port: 70_000 }] }), validation("Value at 'allowedPorts.1.member.port'")],
    [token({ allowedPorts: [{ range: { startPort: 9, endPort: 8 } }] }), validation('ends before it starts')],
    [token({ microvmIdentifier: 'nobody' }), of('ResourceNotFoundException', 404, 'nobody')],
    [
      new DeleteMicrovmImageCommand({ imageIdentifier: demoArn }),
      validation('Cannot delete microvm image with running microvms.'),
    ],
  ];
  for (const [command, error] of cases) await expect(rig.client.send(command as never)).rejects.toMatchObject(error);
});

test('another secret is refused', async () => {
  await expect(rig.stranger.send(new GetMicrovmCommand({ microvmIdentifier }))).rejects.toMatchObject(
    of('InvalidSignatureException', 403, 'signature'),
  );
});

test('an image that did not build cannot be launched', async () => {
  const name = 'unbuilt';
  await rig.client.send(
    new CreateMicrovmImageCommand({ ...imageRequest, name, codeArtifact: { uri: 's3://bucket/no.zip' } }),
  );
  await rig.t.settle();
  await expect(
    rig.client.send(new RunMicrovmCommand({ imageIdentifier: demoArn.replace('demo', name) })),
  ).rejects.toMatchObject(of('ResourceNotFoundException', 404, 'No active version found for MicroVM image'));
});

test('an error inside the server names the request and nothing else', async () => {
  const { db } = rig.t.app.context;
  Object.assign(rig.t.app.context, {
    db: {
      selectFrom: () => {
        throw new Error('/secret');
      },
    },
  });
  try {
    const failure = await rig.client
      .send(new GetMicrovmImageCommand({ imageIdentifier: demoArn }))
      .catch((error: unknown) => error);
    expect(failure).toMatchObject(of('InternalServerException', 500, 'inside the server'));
    expect(String(failure)).not.toContain('secret');
  } finally {
    Object.assign(rig.t.app.context, { db });
  }
});
