// A user's way through the AWS API, with the real client: image, launch, sleep, wake, token, end.
import {
  CreateMicrovmAuthTokenCommand,
  CreateMicrovmImageCommand,
  GetMicrovmCommand,
  GetMicrovmImageBuildCommand,
  GetMicrovmImageCommand,
  GetMicrovmImageVersionCommand,
  ListManagedMicrovmImagesCommand,
  ListMicrovmImageBuildsCommand,
  paginateListMicrovms,
  ResumeMicrovmCommand,
  RunMicrovmCommand,
  SuspendMicrovmCommand,
  TerminateMicrovmCommand,
} from '@aws-sdk/client-lambda-microvms';
import { expect, test } from 'vitest';
import { demoArn, imageRequest } from '../../src/app/testing/test-app.ts';
import { controlPlaneRig } from './control-plane-rig.ts';

const image = { imageIdentifier: demoArn, imageVersion: '1.0' };

test('the bases are listed, AWS’s among them', async () => {
  await using rig = await controlPlaneRig();
  const { items, nextToken } = await rig.client.send(new ListManagedMicrovmImagesCommand({ maxResults: 1 }));
  const rest = await rig.client.send(new ListManagedMicrovmImagesCommand({ nextToken }));
  expect([...(items ?? []), ...(rest.items ?? [])].map(({ imageArn }) => imageArn)).toEqual([
    'arn:aws:lambda:us-east-1:aws:microvm-image:debian-12-1',
    'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1',
  ]);
  expect(items?.[0]?.createdAt).toBeInstanceOf(Date);
  expect(rest.nextToken).toBeUndefined();
});

test('an image is created and read back in all its parts', async () => {
  await using rig = await controlPlaneRig();
  const environmentVariables = { A: 'b', __proto__x: 'y' };
  const created = await rig.client.send(
    new CreateMicrovmImageCommand({
      ...imageRequest,
      environmentVariables,
      logging: { disabled: {} },
      tags: { a: 'b' },
    }),
  );
  expect(created).toMatchObject({
    $metadata: { httpStatusCode: 201, requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
    imageArn: demoArn,
    state: 'CREATING',
    imageVersion: '1.0',
    environmentVariables,
    egressNetworkConnectors: ['arn:aws:lambda:us-east-1:aws:network-connector:aws-network-connector:INTERNET_EGRESS'],
  });
  expect(created.createdAt).toEqual(new Date(rig.t.clock.now()));
  await rig.t.settle();
  expect(await rig.client.send(new GetMicrovmImageCommand(image))).toMatchObject({
    state: 'CREATED',
    latestActiveImageVersion: '1.0',
    tags: { a: 'b' },
  });
  expect(await rig.client.send(new GetMicrovmImageVersionCommand(image))).toMatchObject({
    status: 'ACTIVE',
    logging: { disabled: {} },
    codeArtifact: imageRequest.codeArtifact,
    resources: imageRequest.resources,
  });
  const { items } = await rig.client.send(new ListMicrovmImageBuildsCommand({ ...image, architecture: 'ARM_64' }));
  const buildId = items?.[0]?.buildId;
  expect(await rig.client.send(new GetMicrovmImageBuildCommand({ ...image, buildId }))).toMatchObject({
    buildState: 'SUCCESSFUL',
    architecture: 'X86_64',
    snapshotBuild: { memorySnapshotSizeInBytes: 100 },
  });
});

test('a MicroVM lives: run, get, suspend, resume, token, terminate', async () => {
  await using rig = await controlPlaneRig();
  await rig.client.send(new CreateMicrovmImageCommand(imageRequest));
  await rig.t.settle();
  const idlePolicy = { maxIdleDurationSeconds: 60, suspendedDurationSeconds: 600, autoResumeEnabled: true };
  const run = await rig.client.send(new RunMicrovmCommand({ imageIdentifier: demoArn, idlePolicy }));
  expect(run).toMatchObject({ state: 'PENDING', imageVersion: '1.0', idlePolicy, maximumDurationInSeconds: 28_800 });
  const vm = { microvmIdentifier: run.microvmId };
  const stateNow = async () => (await rig.client.send(new GetMicrovmCommand(vm))).state;
  await rig.t.settle();
  expect(await stateNow()).toBe('RUNNING');
  for (const [command, state] of [
    [new SuspendMicrovmCommand(vm), 'SUSPENDED'],
    [new SuspendMicrovmCommand(vm), 'SUSPENDED'],
    [new ResumeMicrovmCommand(vm), 'RUNNING'],
    [new ResumeMicrovmCommand(vm), 'RUNNING'],
  ] as const) {
    expect((await rig.client.send(command as SuspendMicrovmCommand)).$metadata.httpStatusCode).toBe(200);
    await rig.t.settle();
    expect(await stateNow()).toBe(state);
  }
  const allowedPorts = [{ port: 8080 }, { range: { startPort: 9000, endPort: 9009 } }];
  const token = await rig.client.send(
    new CreateMicrovmAuthTokenCommand({ ...vm, expirationInMinutes: 5, allowedPorts }),
  );
  expect(token.authToken).toEqual({ 'X-aws-proxy-auth': 'token-1' });
  await rig.client.send(
    new CreateMicrovmAuthTokenCommand({ ...vm, expirationInMinutes: 5, allowedPorts: [{ allPorts: {} }] }),
  );
  const expiresAtMs = rig.t.clock.now() + 300_000;
  const grant = { microvmId: run.microvmId, host: run.endpoint, expiresAtMs };
  expect(rig.t.grants).toEqual([
    {
      ...grant,
      ports: [
        { start: 8080, end: 8080 },
        { start: 9000, end: 9009 },
      ],
    },
    { ...grant, ports: 'all' },
  ]);
  await rig.client.send(new TerminateMicrovmCommand(vm));
  await rig.t.settle();
  const end = await rig.client.send(new GetMicrovmCommand(vm));
  expect([end.state, end.stateReason]).toEqual(['TERMINATED', 'Success.']);
  expect(end.terminatedAt).toBeInstanceOf(Date);
  await rig.client.send(new TerminateMicrovmCommand(vm));
});

test('a repeated client token gives the same MicroVM', async () => {
  await using rig = await controlPlaneRig();
  await rig.t.launch();
  const input = { imageIdentifier: demoArn, clientToken: 'once' };
  const first = await rig.client.send(new RunMicrovmCommand(input));
  await rig.t.settle();
  const second = await rig.client.send(new RunMicrovmCommand(input));
  expect([second.microvmId, second.state]).toEqual([first.microvmId, 'RUNNING']);
  await rig.client.send(new SuspendMicrovmCommand({ microvmIdentifier: first.microvmId }));
  await rig.t.settle();
  const third = await rig.client.send(new RunMicrovmCommand(input));
  expect([third.microvmId, third.state]).toEqual([first.microvmId, 'SUSPENDED']);
  await expect(
    rig.client.send(new RunMicrovmCommand({ ...input, maximumDurationInSeconds: 60 })),
  ).rejects.toMatchObject({ name: 'ConflictException' });
});

test('pages of MicroVMs hold everything once, newest first, also by image', async () => {
  await using rig = await controlPlaneRig();
  const ids = [(await rig.t.launch()).microvmId];
  for (let i = 0; i < 6; i++) {
    if (i % 2) await rig.t.clock.advance(1000);
    ids.push((await rig.client.send(new RunMicrovmCommand({ imageIdentifier: demoArn }))).microvmId ?? '');
  }
  for (const filter of [{}, { imageIdentifier: demoArn, imageVersion: '1.0' }]) {
    const seen: (string | undefined)[] = [];
    for await (const page of paginateListMicrovms({ client: rig.client, pageSize: 2 }, filter)) {
      seen.push(...(page.items ?? []).map(({ microvmId }) => microvmId));
    }
    expect(seen).toHaveLength(7);
    expect(new Set(seen)).toEqual(new Set(ids));
  }
  const none = paginateListMicrovms({ client: rig.client }, { imageIdentifier: demoArn, imageVersion: '9.0' });
  for await (const page of none) expect(page.items).toEqual([]);
});
