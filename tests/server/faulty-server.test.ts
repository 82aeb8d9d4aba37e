// The whole server as a process whose disk fails and whose wall clock is set: what it answers then, and that it goes on afterwards.
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readServerFile } from '../../cli/server-file.ts';
import { runOf } from '../support/crash-images.ts';
import { faultyEnvironment } from '../support/faulty-server.ts';
import { buildImage, untilState } from '../support/server.ts';
import { type ServerProcess, startServerIn } from '../support/server-process.ts';
import { zipOf } from '../support/zip.ts';

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
let directory: string;
let server: ServerProcess | undefined;
const at = (name: string): string => join(directory, name);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-faulty-'));
});
afterEach(async () => {
  await rm(at('armed'), { force: true });
  await server?.stop('SIGTERM');
  // Of a MicroVM that could not be put to sleep, and was of that process.
  await rm(runOf(at('data')), { recursive: true, force: true });
  await rm(directory, { recursive: true, force: true });
});

const start = (options: Parameters<typeof faultyEnvironment>[0]): Promise<ServerProcess> =>
  startServerIn(faultyEnvironment(options), at('data'), '--driver', 'fake');

test('a disk that is full is answered as such, nothing half is left, and all goes on when there is room', async () => {
  server = await start({ oneIn: 1, code: 'ENOSPC', armed: at('armed'), report: at('report') });
  const { s3, lambda } = server;
  await s3.createBucket({ Bucket: 'test-bucket' });
  const { imageArn } = await buildImage(server, 'demo', zip);
  const { microvmId = '' } = await lambda.runMicrovm({ imageIdentifier: imageArn });
  await untilState(lambda, microvmId, 'RUNNING');
  const object = { Bucket: 'test-bucket', Key: 'kept' };
  await s3.putObject({ ...object, Body: 'old' });

  await writeFile(at('armed'), '');
  const put = s3.putObject({ ...object, Body: 'new' });
  await expect(put).rejects.toMatchObject({ name: 'InsufficientStorage', $metadata: { httpStatusCode: 507 } });
  await lambda.suspendMicrovm({ microvmIdentifier: microvmId });
  const running = await untilState(lambda, microvmId, 'RUNNING');
  expect(running.stateReason).toMatch(/^The host's disk is full: /);
  expect(await (await s3.getObject(object)).Body?.transformToString()).toBe('old');
  expect(await readdir(join(at('data'), 'objects', 'tmp'))).toEqual([]);
  expect((await readFile(at('report'), 'utf8')).split('\n').length).toBeGreaterThan(2);

  await rm(at('armed'));
  await s3.putObject({ ...object, Body: 'new' });
  await lambda.suspendMicrovm({ microvmIdentifier: microvmId });
  await untilState(lambda, microvmId, 'SUSPENDED');
  expect(await readdir(join(at('data'), 'vms', microvmId))).toEqual(['disk', 'microvm.json', 'sleep-1']);

  await lambda.resumeMicrovm({ microvmIdentifier: microvmId });
  await untilState(lambda, microvmId, 'RUNNING');
  await writeFile(at('armed'), '');
  // It could not be put to sleep.
  expect(await server.stop('SIGTERM')).toBe(1);
});

test('a server whose own file cannot be written serves all the same, and writes it when it can', async () => {
  await writeFile(at('armed'), '');
  server = await start({ oneIn: 1, code: 'EIO', only: 'server.json', armed: at('armed'), report: at('report') });
  await server.lambda.listMicrovms({});
  await expect(readServerFile(at('data'))).rejects.toMatchObject({ code: 'not_found' });
  await rm(at('armed'));
  await expect.poll(() => readServerFile(at('data')).catch(() => undefined), { timeout: 30_000 }).toEqual(server.facts);
});

test('the wall clock of the process is set from outside, and set back', async () => {
  server = await start({ clock: at('offset') });
  const { lambda } = server;
  await lambda.listMicrovms({});
  const dayMs = 24 * 3_600_000;
  await writeFile(at('offset'), String(-dayMs));
  await vi.waitFor(async () => {
    await expect(lambda.listMicrovms({})).rejects.toMatchObject({ name: 'InvalidSignatureException' });
  });
  lambda.config.systemClockOffset = -dayMs;
  await lambda.listMicrovms({});
  await rm(at('offset'));
  lambda.config.systemClockOffset = 0;
  await vi.waitFor(() => lambda.listMicrovms({}));
});
