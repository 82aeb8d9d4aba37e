// The extension API and the way to the S3 handler, signed by hand.
import { createHash, createHmac } from 'node:crypto';
import { ListBucketsCommand, S3Client } from '@aws-sdk/client-s3';
import { expect, test } from 'vitest';
import { suspendMicrovm } from '../../src/app/operations/suspend-microvm.ts';
import { caller, demoArn } from '../../src/app/testing/test-app.ts';
import { type ControlPlaneRig, controlPlaneRig } from './control-plane-rig.ts';

const hash = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();

/** A GET without query, signed for the service `lambda`. */
function get(rig: ControlPlaneRig, path: string): Promise<Response> {
  const date = new Date().toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${date.slice(0, 8)}/us-east-1/lambda/aws4_request`;
  const names = 'host;x-amz-date';
  const canonical = `GET\n${path}\n\nhost:127.0.0.1:${rig.port}\nx-amz-date:${date}\n\n${names}\n${hash('')}`;
  const key = scope.split('/').reduce<string | Buffer>((secret, part) => hmac(secret, part), 'AWS4secret');
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${date}\n${scope}\n${hash(canonical)}`).toString('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=AKIAWATERBEAR/${scope}, SignedHeaders=${names}, Signature=${signature}`;
  return fetch(`${rig.url}${path}`, { headers: { 'x-amz-date': date, authorization } });
}

test('info, stage times and build logs', async () => {
  await using rig = await controlPlaneRig();
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
  });
  const [order] = rig.t.node.orders;
  expect(order?.imageArn).toBe(demoArn);
  const log = await get(rig, `/waterbear/v1/builds/${order?.buildId}/log`);
  expect([log.headers.get('content-type'), await log.text()]).toEqual(['text/plain; charset=utf-8', 'STEP 1\n']);
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
