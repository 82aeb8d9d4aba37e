import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BuildOrder } from '../contract/node-api.ts';
import { createFakeDriver } from '../vmm/fake/fake-driver.ts';
import { buildImage } from './build-image.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-image-'));
});
afterEach(() => rm(directory, { recursive: true }));

const builder = {
  build: async () => ({
    rootDisk: '',
    codeInstallBytes: 1,
    plan: { argv: ['app'], environment: {}, workingDirectory: '/', user: '', allCapabilities: false },
  }),
};

const order = (changes: Partial<BuildOrder>): BuildOrder => ({
  ...{ buildId: 'b', account: 'a', imageName: 'i', imageArn: 'arn', imageVersion: '1.0', region: 'r' },
  ...{ archivePath: '', baselineMib: 512, memoryMib: 512, vcpus: 1, diskMib: 512 },
  ...{ environment: {}, hooks: {}, allCapabilities: false, ...changes },
});

test.each([
  ['starting the application', { boot: 50 }],
  ['taking the snapshot', { suspend: 50 }],
  ['validating the snapshot', { restore: 50 }],
])('a build that is cancelled while %s is aborted and leaves nothing', async (section, latencyMs) => {
  await using driver = createFakeDriver({ latencyMs });
  const cancel = new AbortController();
  const onLog = (text: string): void => {
    if (text.includes(section)) setTimeout(() => cancel.abort(), 10);
  };
  const runDirectory = join(directory, 'run');
  const tools = { builder, driver, slots: undefined, runStepsOnline: false, runDirectory };
  const readiness = { graceMs: 100, intervalMs: 1 };
  const hooks = { port: 8080, validateSeconds: 60 };
  const build = buildImage({ ...tools, readiness }, order({ hooks }), join(directory, 'image'), onLog, cancel.signal);
  await expect(build).rejects.toMatchObject({ code: 'aborted' });
  expect([await readdir(directory), driver.machines]).toEqual([[], []]);
});
