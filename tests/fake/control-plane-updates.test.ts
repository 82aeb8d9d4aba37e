// Images and versions with the real client: updated, activated and deactivated; replays and quotas.
import {
  CreateMicrovmImageCommand,
  DeleteMicrovmImageCommand,
  RunMicrovmCommand,
  TerminateMicrovmCommand,
  UpdateMicrovmImageCommand,
} from '@aws-sdk/client-lambda-microvms';
import { expect, test } from 'vitest';
import { demoArn, imageRequest } from '../../src/app/testing/test-app.ts';
import { controlPlaneRig } from './control-plane-rig.ts';
import {
  conflict,
  deleteVersion,
  getImage,
  getVersion,
  image,
  invalid,
  notFound,
  noZip,
  refusal,
  setStatus,
  spec,
  update,
  withImage,
} from './image-calls.ts';

test('an update makes a new version of a whole new configuration', async () => {
  await using rig = await controlPlaneRig();
  const environmentVariables = { A: 'b' };
  await rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, environmentVariables, tags: { a: 'b' } }));
  await rig.t.settle();
  const created = await getImage(rig);
  await rig.t.clock.advance(1000);
  const answer = await rig.client.send(new UpdateMicrovmImageCommand({ ...image, ...spec, description: 'two' }));
  expect(answer).toMatchObject({
    $metadata: { httpStatusCode: 200 },
    imageArn: demoArn,
    name: 'demo',
    state: 'UPDATING',
    imageVersion: '2.0',
    latestActiveImageVersion: '1.0',
    description: 'two',
    createdAt: created.createdAt,
    updatedAt: new Date(rig.t.clock.now()),
  });
  expect(answer).not.toHaveProperty('tags');
  await rig.t.settle();
  expect(await getImage(rig)).toMatchObject({
    state: 'UPDATED',
    latestActiveImageVersion: '2.0',
    tags: { a: 'b' },
  });
  expect((await getVersion(rig, '1.0')).environmentVariables).toEqual({ A: 'b' });
  expect((await getVersion(rig, '2.0')).environmentVariables).toBeUndefined();
  expect(rig.t.node.orders[1]).toMatchObject({ imageVersion: '2.0' });
  const { imageVersion } = await rig.client.send(new RunMicrovmCommand(image));
  expect(imageVersion).toBe('2.0');
});

test('an update that fails leaves the version before, which launches in profile open and not in aws', async () => {
  for (const launchWhileUpdating of [true, false]) {
    await using rig = await controlPlaneRig({ launchWhileUpdating });
    await withImage(rig);
    await update(rig, noZip);
    expect(await getImage(rig)).toMatchObject({
      state: 'UPDATE_FAILED',
      latestActiveImageVersion: '1.0',
      latestFailedImageVersion: '2.0',
    });
    expect(await getVersion(rig, '2.0')).toMatchObject({ state: 'FAILED', status: 'INACTIVE' });
    const run = rig.client.send(new RunMicrovmCommand(image));
    if (launchWhileUpdating) expect((await run).imageVersion).toBe('1.0');
    else await expect(run).rejects.toMatchObject(notFound(`No active version found for MicroVM image ${demoArn}`));
    await expect(setStatus(rig, '2.0', 'ACTIVE')).rejects.toMatchObject(invalid('FAILED and cannot be activated'));
    expect(await setStatus(rig, '2.0', 'INACTIVE')).toMatchObject({ state: 'FAILED', status: 'INACTIVE' });
    await update(rig);
    expect(await getImage(rig)).toMatchObject({ state: 'UPDATED', latestActiveImageVersion: '3.0' });
  }
});

test('a failed creation can be updated', async () => {
  await using rig = await controlPlaneRig();
  await rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, ...noZip }));
  await rig.t.settle();
  expect((await getImage(rig)).state).toBe('CREATE_FAILED');
  await update(rig);
  expect(await getImage(rig)).toMatchObject({ state: 'UPDATED', latestActiveImageVersion: '2.0' });
});

test('while a build runs, the image is neither updated, deleted nor switched', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig, 2);
  const gate = Promise.withResolvers<void>();
  rig.t.node.gates.build = gate.promise;
  await rig.client.send(new UpdateMicrovmImageCommand({ ...image, ...spec }));
  const already = conflict('MicroVM Image is already in state: UPDATING');
  for (const call of [
    () => rig.client.send(new UpdateMicrovmImageCommand({ ...image, ...spec })),
    () => rig.client.send(new DeleteMicrovmImageCommand(image)),
    () => deleteVersion(rig, '1.0'),
    () => setStatus(rig, '1.0', 'INACTIVE'),
  ]) {
    await expect(call()).rejects.toMatchObject(already);
  }
  expect((await rig.client.send(new RunMicrovmCommand(image))).imageVersion).toBe('2.0');
  gate.resolve();
  await rig.t.settle();
  expect((await getImage(rig)).state).toBe('UPDATED');
});

test('an INACTIVE version is not launched, pinned or not', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig, 2);
  expect(await setStatus(rig, '2.0', 'INACTIVE')).toMatchObject({
    imageArn: demoArn,
    imageVersion: '2.0',
    state: 'SUCCESSFUL',
    status: 'INACTIVE',
    codeArtifact: spec.codeArtifact,
  });
  expect(await getImage(rig)).toMatchObject({ state: 'UPDATED', latestActiveImageVersion: '1.0' });
  expect((await rig.client.send(new RunMicrovmCommand(image))).imageVersion).toBe('1.0');
  const pinned = { ...image, imageVersion: '2.0' };
  await expect(rig.client.send(new RunMicrovmCommand(pinned))).rejects.toMatchObject({
    ...notFound(''),
    message: `No active version found for MicroVM image ${demoArn} and version 2.0`,
  });
  await setStatus(rig, '1.0', 'INACTIVE');
  expect((await getImage(rig)).latestActiveImageVersion).toBeUndefined();
  await expect(rig.client.send(new RunMicrovmCommand(image))).rejects.toMatchObject({
    ...notFound(''),
    message: `No active version found for MicroVM image ${demoArn}`,
  });
  await setStatus(rig, '2.0', 'ACTIVE');
  expect((await rig.client.send(new RunMicrovmCommand(pinned))).imageVersion).toBe('2.0');
  await expect(setStatus(rig, '9.0', 'ACTIVE')).rejects.toMatchObject(notFound('Version 9.0 not found'));
  await expect(setStatus(rig, '1.0', 'GONE' as never)).rejects.toMatchObject(invalid("Value at 'status'"));
});

test('a repeated update answers again; with other parameters it is a conflict; when its version is gone it is new', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig);
  const input = { ...image, ...spec, clientToken: 'once' };
  const send = (more = {}) => rig.client.send(new UpdateMicrovmImageCommand({ ...input, ...more }));
  expect((await send()).imageVersion).toBe('2.0');
  await rig.t.settle();
  expect(await send()).toMatchObject({ imageVersion: '2.0', state: 'UPDATED' });
  await expect(send({ description: 'other' })).rejects.toMatchObject(refusal('ConflictException', 409, 'client token'));
  await deleteVersion(rig, '2.0');
  await rig.t.settle();
  expect(await send()).toMatchObject({ imageVersion: '3.0', state: 'UPDATING' });
});

test('quotas answer 402 and name themselves', async () => {
  await using rig = await controlPlaneRig({ maxVersions: 2, maxMemoryMib: 1024, maxOpenBuilds: 1, maxImages: 1 });
  const over = (quotaCode: string, message: string) => ({
    ...refusal('ServiceQuotaExceededException', 402, message),
    ...{ serviceCode: 'lambda', quotaCode },
  });
  await withImage(rig, 2);
  const again = () => rig.client.send(new UpdateMicrovmImageCommand({ ...image, ...spec }));
  await expect(again()).rejects.toMatchObject(over('microvm-image-versions', '2 versions'));
  await deleteVersion(rig, '1.0');
  await rig.t.settle();
  await again();
  await rig.t.settle();
  await expect(
    rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, name: 'other' })),
  ).rejects.toMatchObject(over('microvm-images', '1 images'));
  const ids: (string | undefined)[] = [];
  for (let i = 0; i < 2; i++) ids.push((await rig.client.send(new RunMicrovmCommand(image))).microvmId);
  await expect(rig.client.send(new RunMicrovmCommand(image))).rejects.toMatchObject(
    over('L-CD1C0CC4', 'memory limit has been reached'),
  );
  await rig.client.send(new TerminateMicrovmCommand({ microvmIdentifier: ids[0] }));
  await rig.t.settle();
  await rig.client.send(new RunMicrovmCommand(image));
});
