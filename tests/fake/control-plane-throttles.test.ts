// Rates per second as clients meet them: in which words, for whom, and that the SDK's own retries get everybody through.
import {
  CreateMicrovmAuthTokenCommand,
  GetMicrovmCommand,
  ListMicrovmsCommand,
  ListTagsCommand,
  ResumeMicrovmCommand,
  RunMicrovmCommand,
  SuspendMicrovmCommand,
  TagResourceCommand,
  TerminateMicrovmCommand,
  ThrottlingException,
  TooManyRequestsException,
  UntagResourceCommand,
} from '@aws-sdk/client-lambda-microvms';
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { demoArn } from '../../src/app/testing/test-app.ts';
import { profiles } from '../../src/config/profiles.ts';
import { type ControlPlaneRig, controlPlaneRig } from './control-plane-rig.ts';
import { image, withImage } from './image-calls.ts';
import { signedFetch } from './signed-fetch.ts';

const awsRig = (): Promise<ControlPlaneRig> => controlPlaneRig(profiles.aws);

/** What the last of so many calls ends with. */
async function last(count: number, call: () => Promise<unknown>): Promise<unknown> {
  let error: unknown;
  for (let i = 0; i < count; i++) error = await call().catch((reason: unknown) => reason);
  return error;
}

test('over the rate the answer is 429 with what is exceeded and when to come back; then it works', async () => {
  await using rig = await awsRig();
  await withImage(rig);
  const run = () => rig.client.send(new RunMicrovmCommand(image));
  for (let i = 0; i < 5; i++) await run();
  const error = await run().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ThrottlingException);
  expect(error).toMatchObject({
    $metadata: { httpStatusCode: 429, requestId: expect.any(String) },
    message: 'Rate exceeded for RunMicrovm: 5 requests per second (quota run-per-second). Try again in 1 s.',
    ...{ serviceCode: 'lambda', quotaCode: 'run-per-second', retryAfterSeconds: 1 },
    $retryable: { throttling: true },
  });
  await rig.t.clock.advance(1000);
  await run();
  for (let i = 0; i < 100; i++) await signedFetch(rig, '/2025-09-09/microvms/microvm-x');
  const raw = await signedFetch(rig, '/2025-09-09/microvms/microvm-x');
  expect([raw.status, raw.headers.get('x-amzn-errortype'), raw.headers.get('retry-after')]).toEqual([
    ...[429, 'ThrottlingException', '1'],
  ]);
  expect(Object.keys((await raw.json()) as object)).toEqual(['message', 'serviceCode', 'quotaCode']);
});

test('what a caller cannot do for other reasons counts too, and is refused before it is looked at', async () => {
  await using rig = await awsRig();
  const invalid = () => rig.client.send(new SuspendMicrovmCommand({ microvmIdentifier: 'x'.repeat(10_001) }));
  expect(await last(2, invalid)).toMatchObject({ name: 'ValidationException' });
  expect(await last(1, invalid)).toMatchObject({ name: 'ThrottlingException' });
});

test('who has not signed, or wrongly, uses up nothing', async () => {
  await using rig = await awsRig();
  const suspend = new SuspendMicrovmCommand({ microvmIdentifier: 'microvm-x' });
  for (let i = 0; i < 5; i++) {
    expect((await fetch(`${rig.url}/2025-09-09/microvms/microvm-x/suspend`, { method: 'POST' })).status).toBe(403);
    await expect(rig.stranger.send(suspend)).rejects.toMatchObject({ name: 'InvalidSignatureException' });
  }
  await expect(rig.client.send(suspend)).rejects.toMatchObject({ name: 'ResourceNotFoundException' });
});

const microvm = { microvmIdentifier: 'microvm-x' };

test.each([
  ['ResumeMicrovm', 5, new ResumeMicrovmCommand(microvm), 'run-per-second'],
  ['TerminateMicrovm', 10, new TerminateMicrovmCommand(microvm), 'terminate-per-second'],
  ['CreateMicrovmAuthToken', 50, new CreateMicrovmAuthTokenCommand({ ...microvm } as never), 'auth-token-per-second'],
  ['GetMicrovm', 100, new GetMicrovmCommand(microvm), 'get-per-second'],
  ['ListMicrovms', 100, new ListMicrovmsCommand({}), 'read-per-second'],
] as const)('%s', async (operation, rate, command, quotaCode) => {
  await using rig = await awsRig();
  const call = () => rig.client.send(command as never);
  expect(await last(rate, call)).not.toBeInstanceOf(ThrottlingException);
  expect(await last(1, call)).toMatchObject({
    ...{ name: 'ThrottlingException', quotaCode, retryAfterSeconds: 1 },
    message: expect.stringContaining(`Rate exceeded for ${operation}: ${rate} requests`),
  });
});

test.each([
  [100, new ListTagsCommand({ Resource: demoArn })],
  [10, new TagResourceCommand({ Resource: demoArn, Tags: { a: 'b' } })],
  [10, new UntagResourceCommand({ Resource: demoArn, TagKeys: ['a'] })],
] as const)('the tag operations have an error of their own (%j)', async (rate, command) => {
  await using rig = await awsRig();
  await withImage(rig);
  let retryAfter: string | undefined;
  rig.client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args);
      retryAfter = (result.response as { headers: Record<string, string> }).headers['retry-after'];
      return result;
    },
    { step: 'deserialize', priority: 'low' },
  );
  const call = () => rig.client.send(command as never);
  expect(await last(rate, call)).not.toBeInstanceOf(Error);
  expect(retryAfter).toBeUndefined();
  const error = await last(1, call);
  expect(error).toBeInstanceOf(TooManyRequestsException);
  expect(error).toMatchObject({ Type: 'User', message: expect.stringContaining('Rate exceeded') });
  expect(retryAfter).toBe('1');
});

test('so do network connectors', async () => {
  await using rig = await awsRig();
  const list = () => signedFetch(rig, '/2026-04-04/network-connectors');
  for (let i = 0; i < 100; i++) expect((await list()).status).toBe(200);
  const answer = await list();
  expect([answer.status, answer.headers.get('x-amzn-errortype'), answer.headers.get('retry-after')]).toEqual([
    ...[429, 'TooManyRequestsException', '1'],
  ]);
  expect(await answer.json()).toEqual({
    ...{ Type: 'User', Reason: 'CallerRateLimitExceeded' },
    message: expect.stringContaining('Rate exceeded for ListNetworkConnectors: 100 requests'),
  });
});

test('S3 and the extension API have no rates', async () => {
  await using rig = await awsRig();
  const credentials = { accessKeyId: 'AKIAWATERBEAR', secretAccessKey: 'secret' };
  const s3 = new S3Client({ endpoint: rig.url, region: 'us-east-1', credentials, maxAttempts: 1 });
  for (let i = 0; i < 120; i++) {
    await s3.send(new ListBucketsCommand({}));
    expect((await signedFetch(rig, '/waterbear/v1/info')).status).toBe(200);
  }
  s3.destroy();
});
