import { expect, test } from 'vitest';
import { Fault } from '../lib/errors.ts';
import { changeImageVersion } from '../store/image-versions.ts';
import { createMicrovmImage } from './operations/create-microvm-image.ts';
import { getMicrovmImage } from './operations/get-microvm-image.ts';
import { getMicrovmImageBuild } from './operations/get-microvm-image-build.ts';
import { getMicrovmImageVersion } from './operations/get-microvm-image-version.ts';
import { listMicrovmImageBuilds } from './operations/list-microvm-image-builds.ts';
import { runMicrovm } from './operations/run-microvm.ts';
import { caller, demoArn, imageRequest, type TestApp, testApp } from './testing/test-app.ts';

const version = { imageIdentifier: demoArn, imageVersion: '1.0' };

async function buildOf(t: TestApp) {
  const { items } = await listMicrovmImageBuilds(t.app.context, caller, version);
  return getMicrovmImageBuild(t.app.context, caller, { ...version, buildId: items[0]?.buildId ?? '' });
}

test('an image is built with its environment, hooks and size, and becomes CREATED and ACTIVE', async () => {
  await using t = await testApp();
  const answer = await createMicrovmImage(t.app.context, caller, {
    ...imageRequest,
    environmentVariables: { A: 'b' },
    cpuConfigurations: [{ architecture: 'ARM_64' }],
    hooks: {
      port: 9000,
      microvmImageHooks: { ready: 'ENABLED', validate: 'DISABLED' },
      microvmHooks: { run: 'ENABLED' },
    },
    tags: { team: 'x' },
  });
  expect(answer).toMatchObject({ state: 'CREATING', imageVersion: '1.0', baseImageArn: imageRequest.baseImageArn });
  await t.settle();
  expect(t.node.orders).toMatchObject([
    {
      imageName: 'demo',
      memoryMib: 512,
      vcpus: 1,
      environment: { A: 'b', AWS_REGION: 'us-east-1', AWS_LAMBDA_MICROVM_IMAGE_VERSION: '1.0' },
      hooks: { port: 9000, readySeconds: 30, runSeconds: 1 },
      allCapabilities: false,
    },
  ]);
  expect(t.node.orders[0]?.hooks).not.toHaveProperty('validateSeconds');
  expect(await getMicrovmImage(t.app.context, caller, version)).toMatchObject({
    state: 'CREATED',
    latestActiveImageVersion: '1.0',
    tags: { team: 'x' },
  });
  expect(await getMicrovmImageVersion(t.app.context, caller, version)).toMatchObject({
    state: 'SUCCESSFUL',
    status: 'ACTIVE',
    baseImageArn: 'arn:aws:lambda:us-east-1:aws:microvm-image:debian-12-1',
    baseImageVersion: '1.0',
    cpuConfigurations: [{ architecture: 'X86_64' }],
  });
  expect(await buildOf(t)).toMatchObject({
    buildState: 'SUCCESSFUL',
    architecture: 'X86_64',
    snapshotBuild: { memorySnapshotSizeInBytes: 100, codeInstallSizeInBytes: 300, diskSnapshotSizeInBytes: 200 },
  });
});

test.each([
  ['s3://nowhere/app.zip', /^S3_NO_SUCH_BUCKET: /],
  ['s3://bucket/other.zip', /^S3_NO_SUCH_KEY: /],
  ['s3://bucket/large.zip', /^S3_INVALID_OBJECT: /],
])('the archive %s fails the build', async (uri, reason) => {
  await using t = await testApp();
  await createMicrovmImage(t.app.context, caller, { ...imageRequest, codeArtifact: { uri } });
  await t.settle();
  expect((await getMicrovmImage(t.app.context, caller, version)).state).toBe('CREATE_FAILED');
  expect(await buildOf(t)).toMatchObject({ buildState: 'FAILED', stateReason: expect.stringMatching(reason) });
  expect(t.node.orders).toEqual([]);
});

test('a bucket of another account is not read', async () => {
  await using t = await testApp();
  t.app.context.objects.headBucket = async () => ({ owner: '210987654321' });
  await createMicrovmImage(t.app.context, caller, imageRequest);
  await t.settle();
  expect((await buildOf(t)).stateReason).toMatch(/^S3_ACCESS_DENIED: /);
});

test('a build that fails says why; what is no Fault stays inside', async () => {
  for (const [failure, reason] of [
    [
      new Fault('build_failed', { reason: 'CONTAINER_BUILD_FAILED', what: 'Line 3.' }),
      'CONTAINER_BUILD_FAILED: Line 3.',
    ],
    [new Error('/secret'), 'INTERNAL_PLATFORM_ERROR: The log of the server says more.'],
  ] as const) {
    await using t = await testApp();
    t.node.failures.build = [failure];
    await createMicrovmImage(t.app.context, caller, imageRequest);
    await t.settle();
    expect(await buildOf(t)).toMatchObject({ buildState: 'FAILED', stateReason: reason });
    await expect(runMicrovm(t.app.context, caller, { imageIdentifier: demoArn })).rejects.toMatchObject({
      code: 'not_found',
      message: expect.stringContaining('No active version found for MicroVM image'),
    });
  }
});

test('builds beyond the parallel ones wait as PENDING, and the quota counts both', async () => {
  await using t = await testApp({ maxOpenBuilds: 2 });
  const gate = Promise.withResolvers<void>();
  t.node.gates.build = gate.promise;
  for (const name of ['a', 'b']) await createMicrovmImage(t.app.context, caller, { ...imageRequest, name });
  await expect(createMicrovmImage(t.app.context, caller, { ...imageRequest, name: 'c' })).rejects.toMatchObject({
    code: 'quota_exceeded',
  });
  const imageIdentifier = demoArn.replace('demo', 'b');
  const waiting = { imageIdentifier, imageVersion: '1.0' };
  expect((await getMicrovmImageVersion(t.app.context, caller, waiting)).state).toBe('PENDING');
  gate.resolve();
  await t.settle();
  expect((await getMicrovmImageVersion(t.app.context, caller, waiting)).state).toBe('SUCCESSFUL');
});

test('a repeated token answers with the state of now; with other parameters it is a conflict', async () => {
  await using t = await testApp();
  const request = { ...imageRequest, clientToken: 't1' };
  expect((await createMicrovmImage(t.app.context, caller, request)).state).toBe('CREATING');
  await t.settle();
  expect((await createMicrovmImage(t.app.context, caller, request)).state).toBe('CREATED');
  expect(t.node.orders).toHaveLength(1);
  await expect(createMicrovmImage(t.app.context, caller, { ...request, name: 'other' })).rejects.toMatchObject({
    code: 'conflict',
  });
  const run = { imageIdentifier: demoArn, clientToken: 't1' };
  const first = await runMicrovm(t.app.context, caller, run);
  await t.settle();
  // Whatever becomes of the image, what was answered once stays true.
  await changeImageVersion(t.store.db, { imageArn: demoArn, version: '1.0' }, { status: 'INACTIVE' });
  const second = await runMicrovm(t.app.context, caller, run);
  expect([first.state, second.state, second.microvmId]).toEqual(['PENDING', 'RUNNING', first.microvmId]);
  expect(t.node.launches).toHaveLength(1);
});

test('profile aws refuses what its host cannot run', async () => {
  await using t = await testApp({ anyArchitecture: false });
  for (const architecture of ['ARM_64', 'X86_64']) {
    const request = { ...imageRequest, cpuConfigurations: [{ architecture }] };
    await expect(createMicrovmImage(t.app.context, caller, request)).rejects.toMatchObject({ code: 'invalid_input' });
  }
});
