// A whole server with little to give, as its users see it: refusals of the AWS API, the gateway's answer to a wake without room, a burst.
import { afterEach, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
const open: TestServer[] = [];
afterEach(async () => {
  for (const one of open.splice(0)) await one.close();
});

async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> {
  const one = await startTestServer({ driver: 'fake', ...options });
  open.push(one);
  return one;
}

const idlePolicy = { maxIdleDurationSeconds: 3600, suspendedDurationSeconds: 3600, autoResumeEnabled: true };

test('RunMicrovm on a full host is refused at once, nothing is left of it, and one that ends makes room', async () => {
  const it = await start({ memoryMib: 1100 });
  const { imageArn } = await it.build('app', zip);
  const [one] = [await it.run(imageArn), await it.run(imageArn)];
  await expect(it.run(imageArn)).rejects.toMatchObject({
    name: 'InsufficientCapacityException',
    $metadata: { httpStatusCode: 500 },
    message:
      'This host has no memory left for that: 512 MiB are needed; of 1100 MiB for MicroVMs and builds 1025 MiB are committed, 75 MiB are free. ' +
      'Suspend or terminate MicroVMs, or raise --memory.',
  });
  expect((await it.lambda.listMicrovms({})).items).toHaveLength(2);
  await it.lambda.terminateMicrovm({ microvmIdentifier: one.id });
  await it.until(one.id, 'TERMINATED');
  const three = await it.run(imageArn);
  await it.until(three.id, 'RUNNING');
});

test('many launches at the same time never take more than there is; each is refused at once or runs', async () => {
  const it = await start({ memoryMib: 10_000 });
  const { imageArn } = await it.build('app', zip);
  const results = await Promise.allSettled(Array.from({ length: 40 }, () => it.run(imageArn)));
  const ran = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.id] : []));
  expect(ran).toHaveLength(19);
  for (const id of ran) expect((await it.until(id, 'RUNNING')).stateReason).toBeUndefined();
});

test('a burst of 100 launches is accepted as PENDING and drained', async () => {
  const it = await start({ memoryMib: 60_000, diskReserveMib: 0, parallelLaunches: 2 });
  const { imageArn } = await it.build('app', zip);
  const order = { imageIdentifier: imageArn };
  const answers = await Promise.all(Array.from({ length: 100 }, () => it.lambda.runMicrovm(order)));
  expect(new Set(answers.map(({ state }) => state))).toEqual(new Set(['PENDING']));
  for (const { microvmId = '' } of answers) await it.until(microvmId, 'RUNNING');
});

test('a replayed RunMicrovm is answered on a full host, too', async () => {
  const it = await start({ memoryMib: 600 });
  const { imageArn } = await it.build('app', zip);
  const order = { imageIdentifier: imageArn, clientToken: 'one' };
  const first = await it.lambda.runMicrovm(order);
  expect((await it.lambda.runMicrovm(order)).microvmId).toBe(first.microvmId);
});

test('an explicit resume without room stays SUSPENDED with a reason; a request is told to come again', async () => {
  const it = await start({ memoryMib: 600 });
  const { imageArn } = await it.build('app', zip);
  const sleeper = await it.run(imageArn, { idlePolicy });
  await it.until(sleeper.id, 'RUNNING');
  await it.lambda.suspendMicrovm({ microvmIdentifier: sleeper.id });
  await it.until(sleeper.id, 'SUSPENDED');
  const other = await it.run(imageArn, { idlePolicy });
  await it.until(other.id, 'RUNNING');
  const answer = await it.get(sleeper.endpoint, sleeper.token);
  expect(answer).toMatchObject({
    status: 502,
    body: '',
    headers: { 'retry-after': '5', 'x-waterbear-reason': 'host_full' },
  });
  const refused = await it.lambda.getMicrovm({ microvmIdentifier: sleeper.id });
  expect(refused.state).toBe('SUSPENDED');
  expect(refused.stateReason).toContain(
    'It waited 15 s for others to end or fall asleep. Suspend or terminate MicroVMs',
  );
  // Room comes while the next request waits.
  const held = it.get(sleeper.endpoint, sleeper.token);
  await it.lambda.suspendMicrovm({ microvmIdentifier: other.id });
  expect((await held).status).toBe(200);
  expect((await it.lambda.getMicrovm({ microvmIdentifier: sleeper.id })).stateReason).toBeUndefined();
});

test('a build that can never fit, or for which the disk is too full, is refused before anything is made', async () => {
  const it = await start({ memoryMib: 600 });
  const large = { resources: [{ minimumMemoryInMiB: 2048 }] };
  await expect(it.build('large', zip, large)).rejects.toMatchObject({
    name: 'InsufficientCapacityException',
    message: expect.stringContaining('2048 MiB are needed; of 600 MiB for MicroVMs and builds 0 MiB are committed'),
  });
  const full = await start({ diskReserveMib: 999_999_999 });
  await expect(full.build('app', zip)).rejects.toThrow("This host's disk is too full for that");
  expect((await full.lambda.listManagedMicrovmImages({})).items?.length).toBeGreaterThan(0);
});
