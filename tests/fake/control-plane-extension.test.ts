// The extension API and the way to the S3 handler, signed by hand.
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { suspendMicrovm } from '../../src/app/operations/suspend-microvm.ts';
import { caller, demoArn, testLimits } from '../../src/app/testing/test-app.ts';
import { controlPlaneRig } from './control-plane-rig.ts';
import { signedFetch as get } from './signed-fetch.ts';

test('info, stage times and build logs', async () => {
  const rates = { ...testLimits.rates, 'suspend-per-second': 3 };
  await using rig = await controlPlaneRig({ maxConnectors: 7, rates });
  const { microvmId, endpoint } = await rig.t.launch();
  await suspendMicrovm(rig.t.app.context, caller, { microvmIdentifier: microvmId });
  await rig.t.settle();
  expect(await (await get(rig, '/waterbear/v1/info')).json()).toEqual({
    version: '0.0.0',
    profile: 'open',
    region: 'us-east-1',
    driver: 'fake',
    accelerator: 'fake',
    architecture: 'X86_64',
    capacity: { memoryMib: 16_384, committedMib: 0, parallelLaunches: 2, waiting: 0 },
    endpointLimits: {},
    quotas: {
      ...{ images: 100, 'versions-per-image': 50, 'concurrent-builds': 5, connectors: 7 },
      ...{ 'memory-mib': 409_600, 'duration-seconds': 28_800 },
      ...{ 'run-per-second': 'unlimited', 'suspend-per-second': 3, 'terminate-per-second': 'unlimited' },
      ...{ 'get-per-second': 'unlimited', 'auth-token-per-second': 'unlimited' },
      ...{ 'shell-auth-token-per-second': 'unlimited', 'read-per-second': 'unlimited' },
      'write-per-second': 'unlimited',
    },
  });
  expect(await (await get(rig, `/waterbear/v1/microvms/${microvmId}`)).json()).toEqual({
    microvmId,
    host: endpoint,
    state: 'SUSPENDED',
    launch: { restore: 2 },
    suspend: { snapshot: 3 },
    asleepBytes: 4096,
    accelerator: 'fake',
    repaired: ['clock', 'entropy'],
    sleep: expect.objectContaining({ cause: 'requested', lastSignal: 'start' }),
    leasedUntil: null,
  });
  const [order] = rig.t.node.orders;
  expect(order?.imageArn).toBe(demoArn);
  const log = await get(rig, `/waterbear/v1/builds/${order?.buildId}/log`);
  expect([log.headers.get('content-type'), await log.text()]).toEqual(['text/plain; charset=utf-8', 'STEP 1\n']);
});

test('a lease is taken over the wire, and what is no lease is refused', async () => {
  await using rig = await controlPlaneRig();
  const { microvmId } = await rig.t.launch();
  const path = `/waterbear/v1/microvms/${microvmId}/lease`;
  const lease = (body: unknown) => get(rig, path, { method: 'POST', body });
  const leasedUntil = new Date(rig.t.clock.now() + 60_000).toISOString();
  const taken = await lease({ seconds: 60 });
  expect([taken.status, await taken.json()]).toEqual([200, { microvmId, state: 'RUNNING', leasedUntil }]);
  expect(await (await get(rig, path.replace('/lease', ''))).json()).toMatchObject({ leasedUntil });
  for (const body of [{}, { seconds: '60' }, { seconds: 1e9 }, [60], 60, null]) {
    const refused = await lease(body);
    expect([refused.status, refused.headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationException']);
    expect(await refused.json()).toMatchObject({ message: expect.stringMatching(/lease|JSON object/) });
  }
  expect((await get(rig, path)).status).toBe(404);
  expect((await get(rig, path.replace(microvmId, 'nobody'), { method: 'POST', body: { seconds: 1 } })).status).toBe(
    404,
  );
  expect((await fetch(`${rig.url}${path}`, { method: 'POST', body: '{"seconds":1}' })).status).toBe(403);
});

test('what is not there, not signed or no GET is refused in the usual form', async () => {
  await using rig = await controlPlaneRig();
  for (const path of ['/waterbear/v1/microvms/nobody', '/waterbear/v1/builds/nothing/log', '/waterbear/v1/else']) {
    const answer = await get(rig, path);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ message: expect.any(String) });
  }
  expect((await fetch(`${rig.url}/waterbear/v1/info`)).status).toBe(403);
  expect((await fetch(`${rig.url}/waterbear/v1/info`, { method: 'POST' })).status).toBe(404);
});

test('requests signed for S3 reach the S3 handler and nothing else', async () => {
  await using rig = await controlPlaneRig();
  await get(rig, '/waterbear/v1/info');
  const credentials = { accessKeyId: 'AKIAWATERBEAR', secretAccessKey: 'secret' };
  const s3 = new S3Client({ endpoint: rig.url, region: 'us-east-1', credentials, forcePathStyle: true });
  await s3.send(new ListBucketsCommand({}));
  s3.destroy();
  expect(rig.s3Requests).toEqual(['GET /?x-id=ListBuckets']);
});
