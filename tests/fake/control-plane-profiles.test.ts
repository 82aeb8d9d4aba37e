// The walls of the profiles as a client meets them.
import {
  CreateMicrovmAuthTokenCommand,
  CreateMicrovmImageCommand,
  RunMicrovmCommand,
} from '@aws-sdk/client-lambda-microvms';
import { expect, test } from 'vitest';
import { demoArn, imageRequest } from '../../src/app/testing/test-app.ts';
import { profiles } from '../../src/config/profiles.ts';
import { controlPlaneRig } from './control-plane-rig.ts';

const idlePolicy = { maxIdleDurationSeconds: 1, suspendedDurationSeconds: 0, autoResumeEnabled: true };
const day = 86_400;

test('profile open takes short idle limits, long lives and long tokens, and either architecture', async () => {
  await using rig = await controlPlaneRig(profiles.open);
  for (const architecture of ['ARM_64', 'X86_64']) {
    const cpuConfigurations = [{ architecture: architecture as 'ARM_64' }];
    const name = architecture === 'ARM_64' ? 'demo' : 'x86';
    await rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, name, cpuConfigurations }));
  }
  await rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, name: 'default', resources: undefined }));
  for (const minimumMemoryInMiB of [256, 1536, 16_384]) {
    const resources = [{ minimumMemoryInMiB }];
    await expect(
      rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, name: 'odd', resources })),
    ).rejects.toMatchObject({ message: expect.stringContaining('Use one of [512, 1024, 2048, 4096, 8192]') });
  }
  await rig.t.settle();
  const run = { imageIdentifier: demoArn, idlePolicy, maximumDurationInSeconds: 30 * day };
  const { microvmId: microvmIdentifier } = await rig.client.send(new RunMicrovmCommand(run));
  const allowedPorts = [{ port: 80 }];
  await rig.client.send(
    new CreateMicrovmAuthTokenCommand({ microvmIdentifier, allowedPorts, expirationInMinutes: 10_080 }),
  );
  expect(rig.t.node.orders[0]).toMatchObject({ memoryMib: 512, vcpus: 1, diskMib: 8192 });
  expect(rig.t.node.orders[2]).toMatchObject({ memoryMib: 2048, vcpus: 1, diskMib: 8192 });
});

test('profile aws has the walls of AWS', async () => {
  await using rig = await controlPlaneRig(profiles.aws);
  await rig.client.send(new CreateMicrovmImageCommand(imageRequest));
  await rig.t.settle();
  expect(rig.t.node.orders[0]).toMatchObject({ memoryMib: 2048, vcpus: 1, diskMib: 8192 });
  const run = { imageIdentifier: demoArn };
  for (const [input, message] of [
    [{ idlePolicy: { ...idlePolicy, maxIdleDurationSeconds: 59 } }, 'Member must be greater than or equal to 60'],
    [{ idlePolicy: { ...idlePolicy, maxIdleDurationSeconds: 28_801 } }, 'Member must be less than or equal to 28800'],
    [{ maximumDurationInSeconds: 28_801 }, 'Member must be less than or equal to 28800'],
  ] as const) {
    await expect(rig.client.send(new RunMicrovmCommand({ ...run, ...input }))).rejects.toMatchObject({
      name: 'ValidationException',
      message: expect.stringContaining(message),
    });
  }
  const { microvmId: microvmIdentifier } = await rig.client.send(new RunMicrovmCommand(run));
  const token = { microvmIdentifier, allowedPorts: [{ port: 80 }] };
  await rig.client.send(new CreateMicrovmAuthTokenCommand({ ...token, expirationInMinutes: 60 }));
  await expect(
    rig.client.send(new CreateMicrovmAuthTokenCommand({ ...token, expirationInMinutes: 61 })),
  ).rejects.toMatchObject({ message: 'ExpirationMinutes 61 exceeded max allowed of 60.' });
  const cpuConfigurations = [{ architecture: 'ARM_64' as const }];
  await expect(
    rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, name: 'arm', cpuConfigurations })),
  ).rejects.toMatchObject({ message: expect.stringContaining('This host is X86_64') });
});

test('over a quota the answer is 402', async () => {
  await using rig = await controlPlaneRig({ maxImages: 1 });
  await rig.client.send(new CreateMicrovmImageCommand(imageRequest));
  await expect(
    rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, name: 'second' })),
  ).rejects.toMatchObject({ name: 'ServiceQuotaExceededException', $metadata: { httpStatusCode: 402 } });
});
