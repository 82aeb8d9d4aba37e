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
    idleSignals: { requests: true, lease: true },
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
    savedAt: '2026-01-01T00:00:00.000Z',
    accelerator: 'fake',
    repaired: ['clock', 'entropy'],
    sleep: expect.objectContaining({ cause: 'requested', lastSignal: 'start' }),
    leasedUntil: null,
    traffic: {
      ...{ requests: {}, requestsInFlight: 0, webSocketsOpen: 0, bytesIn: 0, bytesOut: 0, requestMs: 0 },
      ...{ wakes: 0, suspends: 1, heldRequests: 0, heldMs: 0 },
    },
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
    expect(await refused.json()).toMatchObject({ message: expect.stringContaining('A lease is') });
  }
  expect((await get(rig, path)).status).toBe(404);
  expect((await get(rig, path.replace(microvmId, 'nobody'), { method: 'POST', body: { seconds: 1 } })).status).toBe(
    404,
  );
  expect((await fetch(`${rig.url}${path}`, { method: 'POST', body: '{"seconds":1}' })).status).toBe(403);
});

test('metrics, revocation and new keys', async () => {
  await using rig = await controlPlaneRig();
  const { microvmId } = await rig.t.launch();
  const metrics = await get(rig, '/waterbear/v1/metrics');
  expect(metrics.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await metrics.text()).toContain('waterbear_microvms{state="RUNNING"} 1\n');
  const revoke = (body: unknown) => get(rig, '/waterbear/v1/tokens/revoke', { method: 'POST', body });
  expect(await (await revoke({ microvmId })).json()).toEqual({ microvmId });
  expect((await revoke({ token: `token of ${microvmId}` })).status).toBe(200);
  expect((await revoke({ everything: true })).status).toBe(200);
  expect((await get(rig, '/waterbear/v1/tokens/rotate-keys', { method: 'POST', body: {} })).status).toBe(200);
  const asked = [`all of ${microvmId}`, `${microvmId} its-id 7000`, 'everything', 'new key'];
  expect(rig.t.revocations).toEqual(asked);
  for (const wrong of [{}, { everything: false }, { microvmId, everything: true }, { microvmId, tokenId: 'a b' }, 7]) {
    const answer = await revoke(wrong);
    expect([answer.status, answer.headers.get('x-amzn-errortype')]).toEqual([400, 'ValidationException']);
  }
  expect((await revoke({ microvmId: 'nobody' })).status).toBe(404);
  for (const path of ['tokens/revoke', 'tokens/rotate-keys']) {
    expect(
      (await fetch(`${rig.url}/waterbear/v1/${path}`, { method: 'POST', body: '{"everything":true}' })).status,
    ).toBe(403);
    expect((await get(rig, `/waterbear/v1/${path}`)).status).toBe(404);
  }
  expect((await fetch(`${rig.url}/waterbear/v1/metrics`)).status).toBe(403);
  expect(rig.t.revocations).toEqual(asked);
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

test('the log knows a request by the id of its answer, and nothing of its query', async () => {
  const lines: Record<string, unknown>[] = [];
  const note = (event: string, facts?: Record<string, unknown>): void => void lines.push({ event, ...facts });
  await using rig = await controlPlaneRig({}, 10_000, { level: 'info', info: note, warn: note, error: note });
  const answer = await fetch(`${rig.url}/waterbear/v1/info?X-Amz-Signature=secret`);
  await expect.poll(() => lines).toHaveLength(1);
  const requestId = answer.headers.get('x-amzn-requestid');
  const path = '/waterbear/v1/info';
  expect(lines).toEqual([
    { event: 'api.answered', requestId, method: 'GET', path, status: answer.status, ms: expect.any(Number) },
  ]);
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
