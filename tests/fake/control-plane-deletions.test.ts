// Images and versions with the real client: deleted, and what stands in the way.
import {
  CreateMicrovmImageCommand,
  DeleteMicrovmImageCommand,
  DeleteMicrovmImageVersionCommand,
  ListManagedMicrovmImageVersionsCommand,
  ListMicrovmsCommand,
  RunMicrovmCommand,
  TerminateMicrovmCommand,
  UpdateMicrovmImageCommand,
  UpdateMicrovmImageVersionCommand,
} from '@aws-sdk/client-lambda-microvms';
import { expect, test } from 'vitest';
import { demoArn, imageRequest } from '../../src/app/testing/test-app.ts';
import { Fault } from '../../src/lib/errors.ts';
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

test('an image is deleted with its versions and files; its name and its token are free again', async () => {
  await using rig = await controlPlaneRig();
  const request = { ...imageRequest, clientToken: 'once' };
  await rig.client.send(new CreateMicrovmImageCommand(request));
  await rig.t.settle();
  await update(rig);
  const gate = Promise.withResolvers<void>();
  rig.t.node.gates.deleteImage = gate.promise;
  const remove = new DeleteMicrovmImageCommand(image);
  for (let i = 0; i < 2; i++) {
    expect(await rig.client.send(remove)).toMatchObject({ imageIdentifier: demoArn, state: 'DELETING' });
  }
  expect((await getImage(rig)).state).toBe('DELETING');
  expect(await getVersion(rig, '1.0')).toMatchObject({ state: 'DELETING', status: 'INACTIVE' });
  await expect(rig.client.send(new RunMicrovmCommand(image))).rejects.toMatchObject(notFound('No active version'));
  await expect(rig.client.send(new CreateMicrovmImageCommand(imageRequest))).rejects.toMatchObject(
    invalid('already exists in this account'),
  );
  // A replay while it goes tells what is.
  expect((await rig.client.send(new CreateMicrovmImageCommand(request))).state).toBe('DELETING');
  gate.resolve();
  await rig.t.settle();
  const builds = rig.t.node.orders.map(({ buildId }) => `deleteImage ${buildId}`);
  expect(rig.t.node.calls.filter((call) => call.startsWith('deleteImage')).sort()).toEqual(builds.sort());
  const run = () => rig.client.send(new RunMicrovmCommand(image));
  for (const gone of [() => getImage(rig), () => getVersion(rig, '1.0'), run]) {
    await expect(gone()).rejects.toMatchObject(notFound(`MicroVMImage not found for MicroVMImageID: ${demoArn}`));
  }
  expect(await rig.client.send(remove)).toMatchObject({ state: 'DELETED' });
  expect(await rig.client.send(new CreateMicrovmImageCommand(request))).toMatchObject({
    state: 'CREATING',
    imageVersion: '1.0',
  });
  await rig.t.settle();
  expect(await getImage(rig)).toMatchObject({ state: 'CREATED', latestActiveImageVersion: '1.0' });
});

test('an image with MicroVMs is not deleted; those that are ending are waited for, and stay listed', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig);
  const run = new RunMicrovmCommand({ ...image, clientToken: 'once' });
  const { microvmId: microvmIdentifier } = await rig.client.send(run);
  await rig.t.settle();
  await expect(rig.client.send(new DeleteMicrovmImageCommand(image))).rejects.toMatchObject(
    invalid('Cannot delete microvm image with running microvms.'),
  );
  const gate = Promise.withResolvers<void>();
  rig.t.node.gates.terminate = gate.promise;
  await rig.client.send(new TerminateMicrovmCommand({ microvmIdentifier }));
  await rig.client.send(new DeleteMicrovmImageCommand(image));
  await rig.t.app.context.deletions.idle();
  expect((await getImage(rig)).state).toBe('DELETING');
  expect(rig.t.node.calls.filter((call) => call.startsWith('deleteImage'))).toEqual([]);
  expect(rig.t.app.context.deletions.unfinished).toBe(true);
  gate.resolve();
  await rig.t.settle();
  await rig.t.app.context.deletions.wake();
  await expect(getImage(rig)).rejects.toMatchObject(notFound('not found'));
  const { items } = await rig.client.send(new ListMicrovmsCommand(image));
  expect(items).toMatchObject([{ microvmId: microvmIdentifier, state: 'TERMINATED', imageVersion: '1.0' }]);
  // Its token stays spent, whatever has become of the image.
  expect(await rig.client.send(run)).toMatchObject({ microvmId: microvmIdentifier, state: 'TERMINATED' });
});

test('files that cannot be removed leave DELETE_FAILED, from where it is deleted again', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig, 2);
  rig.t.node.failures.deleteImage = [new Fault('internal', { what: 'No.' })];
  await rig.client.send(new DeleteMicrovmImageCommand(image));
  await rig.t.settle();
  expect((await getImage(rig)).state).toBe('DELETE_FAILED');
  expect((await getVersion(rig, '2.0')).state).toBe('DELETE_FAILED');
  await expect(rig.client.send(new UpdateMicrovmImageCommand({ ...image, ...spec }))).rejects.toMatchObject(
    conflict('DELETE_FAILED'),
  );
  await rig.client.send(new DeleteMicrovmImageCommand(image));
  await rig.t.settle();
  await expect(getImage(rig)).rejects.toMatchObject(notFound('not found'));
});

test('a version is deleted by itself; the image is UPDATING meanwhile, and numbers are not given twice', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig, 3);
  await setStatus(rig, '1.0', 'INACTIVE');
  const gate = Promise.withResolvers<void>();
  rig.t.node.gates.deleteImage = gate.promise;
  for (let i = 0; i < 2; i++) {
    expect(await deleteVersion(rig, '3.0')).toMatchObject({
      ...{ imageIdentifier: demoArn, imageVersion: '3.0', state: 'DELETING' },
    });
  }
  expect(await getImage(rig)).toMatchObject({ state: 'UPDATING', latestActiveImageVersion: '2.0' });
  gate.resolve();
  await rig.t.settle();
  expect((await getImage(rig)).state).toBe('UPDATED');
  await expect(getVersion(rig, '3.0')).rejects.toMatchObject(notFound('Version 3.0 not found'));
  expect((await deleteVersion(rig, '3.0')).state).toBe('DELETED');
  await expect(deleteVersion(rig, '4.0')).rejects.toMatchObject(notFound('Version 4.0 not found'));
  await expect(deleteVersion(rig, '1')).rejects.toMatchObject(notFound('Version 1 not found'));
  await deleteVersion(rig, '1.0');
  await rig.t.settle();
  await expect(deleteVersion(rig, '2.0')).rejects.toMatchObject(invalid('Delete the image instead'));
  await update(rig);
  expect((await getImage(rig)).latestActiveImageVersion).toBe('4.0');
});

test('an image goes back to the state it had before a version of it was deleted', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig);
  await update(rig, noZip);
  await deleteVersion(rig, '2.0');
  await rig.t.settle();
  const { state, latestFailedImageVersion } = await getImage(rig);
  expect([state, latestFailedImageVersion]).toEqual(['UPDATE_FAILED', undefined]);
});

test('a version with MicroVMs is not deleted, and one whose files stay is DELETE_FAILED', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig, 2);
  const { microvmId: microvmIdentifier } = await rig.client.send(new RunMicrovmCommand(image));
  await expect(deleteVersion(rig, '2.0')).rejects.toMatchObject(invalid('version with running microvms'));
  await rig.client.send(new TerminateMicrovmCommand({ microvmIdentifier }));
  await rig.t.settle();
  rig.t.node.failures.deleteImage = [new Fault('internal', { what: 'No.' })];
  await deleteVersion(rig, '2.0');
  await rig.t.settle();
  expect((await getVersion(rig, '2.0')).state).toBe('DELETE_FAILED');
  expect((await getImage(rig)).state).toBe('UPDATED');
  await deleteVersion(rig, '2.0');
  await rig.t.settle();
  await expect(getVersion(rig, '2.0')).rejects.toMatchObject(notFound('Version 2.0'));
});

test('names that are none, and images of others', async () => {
  await using rig = await controlPlaneRig();
  const commands = (imageIdentifier: string) => [
    new UpdateMicrovmImageCommand({ imageIdentifier, ...spec }),
    new DeleteMicrovmImageCommand({ imageIdentifier }),
    new DeleteMicrovmImageVersionCommand({ imageIdentifier, imageVersion: '1.0' }),
    new UpdateMicrovmImageVersionCommand({ imageIdentifier, imageVersion: '1.0', status: 'ACTIVE' }),
    new ListManagedMicrovmImageVersionsCommand({ imageIdentifier }),
  ];
  for (const [name, error] of [
    ['demo', invalid('Invalid ARN format')],
    [demoArn.replace('123456789012', '210987654321'), refusal('AccessDeniedException', 403, 'not authorized')],
    [demoArn, notFound(`MicroVMImage not found for MicroVMImageID: ${demoArn}`)],
  ] as const) {
    for (const command of commands(name)) {
      await expect(rig.client.send(command as DeleteMicrovmImageCommand)).rejects.toMatchObject(error);
    }
  }
});
