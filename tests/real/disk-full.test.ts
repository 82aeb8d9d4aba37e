// The host's disk fills up: a VM that writes waits instead of losing what it wrote, and goes on when there is room; a server refuses what needs room, says why, loses
// nothing, and can still end MicroVMs, which makes room.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { silentLog } from '../../src/lib/log.ts';
import { type NodeSettings, openNode } from '../../src/node/open-node.ts';
import { ask, buildOrder, projectZip, toolkitDirectory } from '../support/real-node.ts';
import { startTestServer } from '../support/server.ts';
import { smallDisk } from '../support/small-disk.ts';
import { zipOf } from '../support/zip.ts';

interface State {
  count: number;
  file: string;
  fileBytes: number;
}

const mib = 1 << 20;
/** Less than the requests write, more than the VM writes without them. */
const left = 8;
const requests = 6;
const diskMib = 3072;

test('a VM that finds the disk full waits for room and loses nothing', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-full-'));
  await using disk = await smallDisk(diskMib);
  const logged: string[] = [];
  const note = (name: string): void => void logged.push(name);
  const settings: NodeSettings = {
    ...{ dataDirectory: disk.directory, toolkitDirectory, maxRunning: 2, preparedSlots: 1, diskReserveMib: 0 },
    ...({ driver: 'qemu', accelerator: 'tcg', egress: 'none', buildIsolation: 'host' } as const),
  };
  try {
    const node = await openNode(settings, systemClock, { ...silentLog, warn: note, error: note });
    try {
      const archivePath = join(directory, 'state.zip');
      await writeFile(archivePath, await projectZip('state'));
      const order = buildOrder(archivePath);
      await node.build(order, () => {});
      const [microvmId, buildId] = ['microvm-full', order.buildId];
      await node.launch({ microvmId, buildId });
      await disk.fill(left);
      await expect(node.launch({ microvmId: 'microvm-second', buildId })).rejects.toThrow(
        "This host's disk is too full",
      );

      const chunk = 'x'.repeat(4 * mib);
      let answered = 0;
      const writing = (async () => {
        for (; answered < requests; answered++) await ask<State>(node, microvmId, '/', chunk);
      })();
      await vi.waitFor(() => expect(logged).toContain('microvm_waits_for_disk'), { timeout: 120_000, interval: 100 });
      await expect(node.suspend(microvmId)).rejects.toThrow("The host's disk is full");
      expect(logged).not.toContain('microvm_goes_on');
      expect(node.list()).toMatchObject([{ microvmId, buildId, state: 'running' }]);

      await disk.free();
      await vi.waitFor(() => expect(logged).toContain('microvm_goes_on'), { timeout: 60_000, interval: 100 });
      await writing;
      const before = await ask<State>(node, microvmId);
      expect(before.fileBytes).toBe(requests * (50_000 + chunk.length));
      await node.suspend(microvmId);
      await node.resume(microvmId);
      const { file, fileBytes } = await ask<State>(node, microvmId);
      expect([file, fileBytes]).toEqual([before.file, before.fileBytes]);
    } finally {
      await node.close();
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}, 400_000);

const idlePolicy = { maxIdleDurationSeconds: 3600, suspendedDurationSeconds: 3600, autoResumeEnabled: true };

test('on a full disk what needs room is refused with the reason, nothing is lost, MicroVMs can be ended, and all goes on when there is room', async () => {
  await using disk = await smallDisk(diskMib);
  const server = await startTestServer({ dataDirectory: join(disk.directory, 'data'), diskReserveMib: 0 });
  try {
    const { lambda, s3 } = server;
    const { imageArn, state, reason } = await server.build('state', await projectZip('state'));
    expect([state, reason]).toEqual(['SUCCESSFUL', undefined]);
    const launch = async () => {
      const { id, endpoint, token } = await server.run(imageArn, { idlePolicy });
      await server.until(id, 'RUNNING');
      return {
        id,
        ask: async () => server.get(endpoint, token),
        write: (body: string) => server.get(endpoint, token, '/', body),
      };
    };
    const stateOf = async (answer: Promise<{ status: number; body: string }>): Promise<State> => {
      const { status, body } = await answer;
      expect([status, body]).toEqual([200, body]);
      return JSON.parse(body) as State;
    };
    const [awake, asleep, doomed] = [await launch(), await launch(), await launch()];
    await stateOf(awake.write('kept'));
    const slept = await stateOf(asleep.write('kept'));
    await lambda.suspendMicrovm({ microvmIdentifier: asleep.id });
    await server.until(asleep.id, 'SUSPENDED');
    const object = { Bucket: 'test-bucket', Key: 'kept' };
    await s3.putObject({ ...object, Body: 'old' });

    await disk.fill(0);
    // Ending is a change of rows: the database has kept room for it.
    await lambda.terminateMicrovm({ microvmIdentifier: doomed.id });
    await server.until(doomed.id, 'TERMINATED');

    await disk.fill(0);
    await expect(s3.putObject({ ...object, Body: 'x'.repeat(mib) })).rejects.toMatchObject({
      name: 'InsufficientStorage',
      $metadata: { httpStatusCode: 507 },
    });
    await expect(lambda.runMicrovm({ imageIdentifier: imageArn })).rejects.toMatchObject({
      name: 'InsufficientCapacityException',
      message: expect.stringContaining('disk'),
    });
    // With the very last block gone it may wait for room at any time; with some it goes on by itself.
    await disk.fill(left);
    const goesOn = (): Promise<State> => vi.waitFor(() => stateOf(awake.ask()), { timeout: 60_000, interval: 1000 });
    const before = await goesOn();
    await disk.fill(0);
    await lambda.suspendMicrovm({ microvmIdentifier: awake.id });
    const refused = await server.until(awake.id, 'RUNNING');
    expect(refused.stateReason).toContain("The host's disk is full");
    await disk.fill(left);
    const after = await goesOn();
    expect([after.count > before.count, after.file]).toEqual([true, before.file]);
    expect((await asleep.ask()).status).toBe(502);
    expect((await server.until(asleep.id, 'SUSPENDED')).stateReason).toContain('disk');
    expect(await (await s3.getObject(object)).Body?.transformToString()).toBe('old');

    await disk.free();
    await s3.putObject({ ...object, Body: 'new' });
    const woken = await stateOf(asleep.ask());
    expect([woken.count, woken.file]).toEqual([slept.count + 1, slept.file]);
    await lambda.suspendMicrovm({ microvmIdentifier: awake.id });
    await server.until(awake.id, 'SUSPENDED');
    expect(await stateOf(awake.ask())).toMatchObject({ count: after.count + 1, file: before.file });
    await stateOf((await launch()).ask());
  } finally {
    await server.close();
  }
}, 600_000);

test('a server starts on a full disk, finds what sleeps and ends what it is told to end', async () => {
  await using disk = await smallDisk(diskMib);
  const server = await startTestServer({
    dataDirectory: join(disk.directory, 'data'),
    driver: 'fake',
    diskReserveMib: 0,
  });
  try {
    const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
    const { imageArn } = await server.build('demo', zip);
    const { id } = await server.run(imageArn);
    await server.until(id, 'RUNNING');
    await server.lambda.suspendMicrovm({ microvmIdentifier: id });
    await server.until(id, 'SUSPENDED');
    // Also what the end of a server gives back is gone before the next one starts.
    await server.server.close();
    await disk.fill(0);
    await server.restart();
    await server.until(id, 'SUSPENDED');
    await server.lambda.terminateMicrovm({ microvmIdentifier: id });
    await server.until(id, 'TERMINATED');
  } finally {
    await server.close();
  }
}, 120_000);
