// The whole server on the fake driver: what deletions leave of the files on the host, also over a restart.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { poll, startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);

const imageFiles = async (it: TestServer): Promise<string[]> => [
  ...(await readdir(join(it.data, 'images'))),
  ...(await readdir(join(it.data, 'logs'))),
];

/** Waits until the image is in this state, or gone. */
const until = (it: TestServer, imageIdentifier: string, state: string | undefined) =>
  poll(`${imageIdentifier} is ${state}`, async () => {
    const now = await it.lambda.getMicrovmImage({ imageIdentifier }).catch((error: { name: string }) => {
      if (error.name !== 'ResourceNotFoundException') throw error;
    });
    return now?.state === state ? { now } : undefined;
  });

test('a deleted version takes its files along, a deleted image all of them; the name can be built again', async () => {
  const it = await startTestServer({ driver: 'fake' });
  try {
    const { imageArn } = await it.build('app', zip);
    const imageIdentifier = imageArn;
    const { codeArtifact, baseImageArn, buildRoleArn } = await it.lambda.getMicrovmImageVersion({
      ...{ imageIdentifier, imageVersion: '1.0' },
    });
    const { id } = await it.run(imageArn);
    await it.lambda.updateMicrovmImage({ imageIdentifier, codeArtifact, baseImageArn, buildRoleArn });
    await until(it, imageArn, 'UPDATED');
    expect(await imageFiles(it)).toHaveLength(4);
    await expect(it.lambda.deleteMicrovmImageVersion({ imageIdentifier, imageVersion: '1.0' })).rejects.toMatchObject({
      name: 'ValidationException',
    });
    await it.lambda.terminateMicrovm({ microvmIdentifier: id });
    await it.lambda.deleteMicrovmImageVersion({ imageIdentifier, imageVersion: '1.0' });
    await until(it, imageArn, 'UPDATED');
    expect(await imageFiles(it)).toHaveLength(2);
    await it.restart();
    await it.lambda.deleteMicrovmImage({ imageIdentifier });
    await until(it, imageArn, undefined);
    expect(await imageFiles(it)).toEqual([]);
    expect((await it.lambda.getMicrovm({ microvmIdentifier: id })).state).toBe('TERMINATED');
    expect(await it.build('app', zip)).toMatchObject({ imageArn, state: 'SUCCESSFUL' });
  } finally {
    await it.close();
  }
});

test('a build whose application fails tells how large the container is', async () => {
  const it = await startTestServer({ driver: 'fake' });
  try {
    const hooks = { port: 8080, microvmImageHooks: { ready: 'ENABLED', readyTimeoutInSeconds: 1 } } as const;
    const environmentVariables = { FAKE_READY_STATUS: '500' };
    const { imageArn: imageIdentifier, state } = await it.build('bad', zip, { hooks, environmentVariables });
    expect(state).toBe('FAILED');
    const version = { imageIdentifier, imageVersion: '1.0' };
    const { items } = await it.lambda.listMicrovmImageBuilds(version);
    const build = await it.lambda.getMicrovmImageBuild({ ...version, buildId: items?.[0]?.buildId });
    expect(build).toMatchObject({ buildState: 'FAILED', snapshotBuild: { codeInstallSizeInBytes: 23 } });
  } finally {
    await it.close();
  }
});
