// The life of an image and of two MicroVMs against a server that may be copied at any step (crash-images.ts), and what its answers promise to whoever comes after a crash.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CreateMicrovmImageRequest } from '@aws-sdk/client-lambda-microvms';
import { askServer } from '../../cli/server-api.ts';
import { readServerFile } from '../../cli/server-file.ts';
import { poll, type TestServer, type Token } from './server.ts';

/** `none`: was not asked for. `moves`: may run, so that a server that ends with its VMM loses it. `may end`: was told to, which may not have been heard. `ends`: was heard. */
export type Phase = 'none' | 'moves' | 'asleep' | 'may end' | 'ends';

export interface PromisedVm {
  clientToken: string;
  /** Version it is launched from. */
  version: string;
  phase: Phase;
  id?: string;
  /** Answers of its application that somebody has read, or may just be reading. */
  count: number;
  /** The same when it was last seen asleep. */
  asleepCount?: number;
  sleeps: number;
}

/** What was acknowledged, or asked for and perhaps done. Plain data. */
export interface Promises {
  /** Each content that the object may have; null is no object. */
  object: (string | null)[];
  tag: (string | null)[];
  /** `ends`: it may be gone. */
  image: 'none' | 'asked' | 'made' | 'built' | 'ends';
  imageArn?: string;
  /** Of version 2.0. */
  update: 'none' | 'asked' | 'made' | 'built';
  /** Whether version 1.0 may be gone. */
  firstVersionEnds: boolean;
  vms: Record<'first' | 'second', PromisedVm>;
  /** Of the first MicroVM; `cut` when its tokens were revoked. */
  token?: Token;
  tokens: 'good' | 'either' | 'cut';
}

export const bucket = 'test-bucket';
export const imageName = 'crashing';
export const idlePolicy = { maxIdleDurationSeconds: 3600, suspendedDurationSeconds: 3600, autoResumeEnabled: true };

const spec = {
  baseImageArn: 'arn:aws:lambda:us-east-1:aws:microvm-image:al2023-1',
  buildRoleArn: 'arn:aws:iam::000000000000:role/build',
  codeArtifact: { uri: `s3://${bucket}/demo.zip` },
  resources: [{ minimumMemoryInMiB: 512 as const }],
} satisfies Partial<CreateMicrovmImageRequest>;
export const createRequest = { name: imageName, clientToken: 'create', ...spec };
export const updateRequest = { clientToken: 'update', ...spec };

const newVm = (clientToken: string, version: string): PromisedVm => ({
  ...{ clientToken, version, phase: 'none', count: 0, sleeps: 0 },
});

export const newPromises = (): Promises => ({
  ...{ object: [null], tag: [null], image: 'none', update: 'none', firstVersionEnds: false, tokens: 'good' },
  vms: { first: newVm('first', '1.0'), second: newVm('second', '2.0') },
});

/** `server` has the bucket with `demo.zip`. Changes `promises` as it is answered. `dull`: called with whether what comes now is only more of what was. */
export async function playLife(server: TestServer, promises: Promises, dull: (isDull: boolean) => void): Promise<void> {
  const { lambda, s3 } = server;
  const object = { Bucket: bucket, Key: 'kept' };
  const put = async (Body: string): Promise<void> => {
    promises.object.push(Body);
    await s3.putObject({ ...object, Body });
    promises.object = [Body];
  };
  await put('old');
  await put('new');

  promises.image = 'asked';
  const { imageArn = '' } = await lambda.createMicrovmImage(createRequest);
  Object.assign(promises, { image: 'made', imageArn });
  await untilImage(server, imageArn, 'CREATED');
  promises.image = 'built';
  promises.tag.push('yes');
  await lambda.tagResource({ Resource: imageArn, Tags: { tag: 'yes' } });
  promises.tag = ['yes'];

  const { first, second } = promises.vms;
  await launch(server, imageArn, first);
  promises.token = await server.token(first.id ?? '');
  // Disk layers are merged after the sixth sleep.
  for (let round = 1; round <= 6; round++) {
    dull(round > 1 && round < 6);
    await request(server, first, promises.token);
    await suspend(server, first);
  }
  dull(false);
  const disk = join(server.data, 'vms', first.id ?? '', 'disk');
  await poll('the merge of the layers', async () => ((await readdir(disk)).length === 1 ? true : undefined));

  promises.update = 'asked';
  await lambda.updateMicrovmImage({ imageIdentifier: imageArn, ...updateRequest });
  promises.update = 'made';
  await untilImage(server, imageArn, 'UPDATED');
  promises.update = 'built';

  first.phase = 'moves';
  await lambda.resumeMicrovm({ microvmIdentifier: first.id ?? '' });
  await server.until(first.id ?? '', 'RUNNING');
  await request(server, first, promises.token);
  promises.tokens = 'either';
  await extension(server, 'tokens/revoke', { microvmId: first.id });
  promises.tokens = 'cut';
  await extension(server, 'tokens/rotate-keys', {});
  await launch(server, imageArn, second);
  await suspend(server, second);
  for (const vm of [first, second]) await terminate(server, vm);

  promises.firstVersionEnds = true;
  await lambda.deleteMicrovmImageVersion({ imageIdentifier: imageArn, imageVersion: '1.0' });
  await untilImage(server, imageArn, 'UPDATED');
  await extension(server, 'gc', { dryRun: false });
  promises.image = 'ends';
  await lambda.deleteMicrovmImage({ imageIdentifier: imageArn });
  await untilGone(server, imageArn);
  promises.object.push(null);
  await s3.deleteObject(object);
  promises.object = [null];
}

async function launch(server: TestServer, imageIdentifier: string, vm: PromisedVm): Promise<void> {
  vm.phase = 'moves';
  vm.id = await askToRun(server, imageIdentifier, vm);
  await server.until(vm.id, 'RUNNING');
}

export async function askToRun({ lambda }: TestServer, imageIdentifier: string, vm: PromisedVm): Promise<string> {
  const { clientToken, version: imageVersion } = vm;
  const { microvmId = '' } = await lambda.runMicrovm({ imageIdentifier, imageVersion, clientToken, idlePolicy });
  return microvmId;
}

/** It wakes when it sleeps. */
async function request(server: TestServer, vm: PromisedVm, token: Token): Promise<void> {
  vm.phase = 'moves';
  vm.count += 1;
  const { endpoint = '' } = await server.lambda.getMicrovm({ microvmIdentifier: vm.id ?? '' });
  const { status, body } = await server.get(endpoint, token);
  if (status !== 200 || body !== `${vm.count}\n`) throw new Error(`answered ${status} ${body}`);
}

async function suspend(server: TestServer, vm: PromisedVm): Promise<void> {
  vm.phase = 'moves';
  await server.lambda.suspendMicrovm({ microvmIdentifier: vm.id ?? '' });
  await server.until(vm.id ?? '', 'SUSPENDED');
  Object.assign(vm, { phase: 'asleep', asleepCount: vm.count, sleeps: vm.sleeps + 1 });
}

async function terminate(server: TestServer, vm: PromisedVm): Promise<void> {
  vm.phase = 'may end';
  await server.lambda.terminateMicrovm({ microvmIdentifier: vm.id ?? '' });
  vm.phase = 'ends';
  await server.until(vm.id ?? '', 'TERMINATED');
}

export const untilGone = (server: TestServer, imageIdentifier: string): Promise<true> =>
  poll('the end of the image', () =>
    server.lambda.getMicrovmImage({ imageIdentifier }).then(
      () => undefined,
      () => true as const,
    ),
  );

export async function untilImage({ lambda }: TestServer, imageIdentifier: string, ...states: string[]): Promise<void> {
  await poll(`${imageIdentifier} becoming ${states.join(' or ')}`, async () => {
    const { state = '' } = await lambda.getMicrovmImage({ imageIdentifier });
    if (state.endsWith('_FAILED')) throw new Error(`the image is ${state}`);
    return states.includes(state) ? true : undefined;
  });
}

export async function extension(server: TestServer, path: string, body: object): Promise<void> {
  await askServer(await readServerFile(server.data), `/waterbear/v1/${path}`, body, Date.now());
}
