// The limits of endpoints on a whole server: by size and profile, by setting, and over all threads of the gateway together.
import { afterEach, expect, test } from 'vitest';
import { getSigned } from '../../cli/server-api.ts';
import type { ServerInfo } from '../../src/app/extension.ts';
import { profiles } from '../../src/config/profiles.ts';
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

async function infoOf({ server }: TestServer): Promise<ServerInfo> {
  const signer = { region: server.region, ...server.credentials };
  return JSON.parse((await getSigned(server.apiUrl, '/waterbear/v1/info', signer, Date.now())).body) as ServerInfo;
}

test('profile aws limits by size, profile open does not', async () => {
  const limited = await start({ profile: 'aws' });
  expect((await infoOf(limited)).endpointLimits).toEqual(profiles.aws.endpoint);
  const { imageArn } = await limited.build('app', zip);
  const vm = await limited.run(imageArn);
  await limited.until(vm.id, 'RUNNING');
  const answers = await Promise.all(Array.from({ length: 40 }, () => limited.get(vm.endpoint, vm.token)));
  // 512 MiB: eight connections, ten requests a second. Nothing else than these two answers.
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused.length).toBeGreaterThan(0);
  for (const { status, headers } of answers) {
    if (status !== 200) expect([status, headers['retry-after']]).toEqual([429, '1']);
  }
  const free = await start();
  const image = await free.build('app', zip);
  const other = await free.run(image.imageArn);
  const all = await Promise.all(Array.from({ length: 40 }, () => free.get(other.endpoint, other.token)));
  expect(all.filter(({ status }) => status !== 200)).toEqual([]);
});

test('two threads of the gateway keep to one rate', async () => {
  const it = await start({ gatewayThreads: 2, quotas: ['endpoint-requests-per-second=10'] });
  const { imageArn } = await it.build('app', zip);
  const vm = await it.run(imageArn);
  await it.until(vm.id, 'RUNNING');
  const startedAt = performance.now();
  const answers = await Promise.all(Array.from({ length: 60 }, () => it.get(vm.endpoint, vm.token)));
  const seconds = (performance.now() - startedAt) / 1000;
  const good = answers.filter(({ status }) => status === 200).length;
  expect(good).toBeGreaterThanOrEqual(10);
  expect(good).toBeLessThanOrEqual(10 + 10 * seconds + 1);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(60 - good);
});
