// The server as a process: what it leaves behind when it is told to stop. When it is killed: server-crash.test.ts.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { instanceOf } from '../../src/node/layout.ts';
import { leftovers } from '../support/leftovers.ts';
import { projectZip } from '../support/real-node.ts';
import { buildImage, sendRequest } from '../support/server.ts';
import { type ServerProcess, startServerProcess } from '../support/server-process.ts';

let data = '';
let server: ServerProcess;
let imageArn = '';

const ours = async (): Promise<string[]> => (await leftovers()).filter((text) => text.includes(instanceOf(data)));

beforeAll(async () => {
  data = await mkdtemp(join(tmpdir(), 'waterbear-process-'));
  server = await startServerProcess(data);
  await server.s3.createBucket({ Bucket: 'test-bucket' });
  imageArn = (await buildImage(server, 'state', await projectZip('state'))).imageArn;
});
afterAll(async () => {
  // A start on the same directory ends what a killed server left, should a test have failed in between.
  if (server?.child.signalCode) server = await startServerProcess(data);
  await server?.stop('SIGTERM');
  await rm(data, { recursive: true, force: true });
});

async function launch(): Promise<{ id: string; count: () => Promise<number> }> {
  const { lambda } = server;
  const { microvmId: id = '' } = await lambda.runMicrovm({ imageIdentifier: imageArn });
  const { authToken = {} } = await lambda.createMicrovmAuthToken({
    microvmIdentifier: id,
    expirationInMinutes: 30,
    allowedPorts: [{ port: 8080 }],
  });
  const count = async (): Promise<number> => {
    const { endpoint = '' } = await server.lambda.getMicrovm({ microvmIdentifier: id });
    const answer = await sendRequest(server.ca, endpoint, authToken, '/', undefined);
    expect(answer.status).toBe(200);
    return (JSON.parse(answer.body) as { count: number }).count;
  };
  return { id, count };
}

test('after SIGTERM only the data directory is left; the next start finds the MicroVMs asleep, and they wake', async () => {
  const vms = [await launch(), await launch()];
  for (const vm of vms) expect(await vm.count()).toBe(1);
  expect((await ours()).length).toBeGreaterThan(0);
  expect(await server.stop('SIGTERM')).toBe(0);
  expect(await ours()).toEqual([]);
  server = await startServerProcess(data);
  for (const vm of vms) {
    expect((await server.lambda.getMicrovm({ microvmIdentifier: vm.id })).state).toBe('SUSPENDED');
    expect(await vm.count()).toBe(2);
  }
});
