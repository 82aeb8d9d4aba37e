// Lists of images, versions and builds with the real client.
import {
  CreateMicrovmImageCommand,
  GetMicrovmImageBuildCommand,
  ListManagedMicrovmImageVersionsCommand,
  ListMicrovmImageBuildsCommand,
  paginateListMicrovmImages,
  paginateListMicrovmImageVersions,
} from '@aws-sdk/client-lambda-microvms';
import { expect, test } from 'vitest';
import { demoArn, imageRequest } from '../../src/app/testing/test-app.ts';
import { Fault } from '../../src/lib/errors.ts';
import { controlPlaneRig } from './control-plane-rig.ts';
import { getVersion, image, notFound, spec, update, withImage } from './image-calls.ts';

test('images are listed newest first; the name filter comes after the page', async () => {
  await using rig = await controlPlaneRig();
  for (const name of ['a-one', 'b-one', 'a-two', 'b-two', 'a-three']) {
    await rig.client.send(new CreateMicrovmImageCommand({ ...imageRequest, name }));
    await rig.t.settle();
    if (name !== 'a-one') await rig.t.clock.advance(1000);
  }
  const pages = async (pageSize: number, nameFilter?: string) => {
    const seen: (string | undefined)[][] = [];
    for await (const { items } of paginateListMicrovmImages({ client: rig.client, pageSize }, { nameFilter })) {
      seen.push((items ?? []).map(({ name }) => name));
    }
    return seen;
  };
  expect(await pages(50)).toEqual([['a-three', 'b-two', 'a-two', 'b-one', 'a-one']]);
  expect(await pages(2, 'b-')).toEqual([['b-two'], ['b-one'], []]);
  expect((await pages(1, 'three')).flat()).toEqual(['a-three']);
  const [first] =
    (await rig.client.send(new ListManagedMicrovmImageVersionsCommand({ imageIdentifier: spec.baseImageArn }))).items ??
    [];
  expect(first).toMatchObject({ imageArn: spec.baseImageArn, imageVersion: '1', status: 'AVAILABLE' });
  await expect(
    rig.client.send(new ListManagedMicrovmImageVersionsCommand({ imageIdentifier: demoArn })),
  ).rejects.toMatchObject(notFound('not found'));
});

test('versions are listed newest first with all their members; builds by filter', async () => {
  await using rig = await controlPlaneRig();
  await withImage(rig, 3);
  const seen: (string | undefined)[] = [];
  for await (const { items } of paginateListMicrovmImageVersions({ client: rig.client, pageSize: 2 }, { ...image })) {
    for (const item of items ?? []) {
      seen.push(item.imageVersion);
      const { $metadata: _, ...alone } = await getVersion(rig, item.imageVersion ?? '');
      expect(item).toEqual(alone);
    }
  }
  expect(seen).toEqual(['3.0', '2.0', '1.0']);
  const builds = async (filter: object) =>
    (await rig.client.send(new ListMicrovmImageBuildsCommand({ ...image, imageVersion: '2.0', ...filter }))).items;
  expect(await builds({})).toHaveLength(1);
  expect(await builds({ architecture: 'X86_64', chipset: 'GENERIC', chipsetGeneration: '1' })).toHaveLength(1);
  expect(await builds({ chipset: 'GRAVITON' })).toEqual([]);
});

test('what was built before a failure shows its size', async () => {
  await using rig = await controlPlaneRig();
  const facts = { reason: 'READY_HOOK_TIMEOUT', what: 'Late.' };
  rig.t.node.failures.build = [
    new Fault('build_failed', { ...facts, codeInstallBytes: 7 }),
    new Fault('build_failed', facts),
  ];
  await rig.client.send(new CreateMicrovmImageCommand(imageRequest));
  await rig.t.settle();
  await update(rig);
  for (const [imageVersion, snapshotBuild] of [
    ['1.0', { codeInstallSizeInBytes: 7 }],
    ['2.0', undefined],
  ] as const) {
    const { items } = await rig.client.send(new ListMicrovmImageBuildsCommand({ ...image, imageVersion }));
    const build = { ...image, imageVersion, buildId: items?.[0]?.buildId };
    expect((await rig.client.send(new GetMicrovmImageBuildCommand(build))).snapshotBuild).toEqual(snapshotBuild);
  }
});
