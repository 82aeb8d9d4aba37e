// The scrubber of a whole server on the fake driver: each file that is kept is found when a bit of it flips, by name, and nothing is found while
// MicroVMs sleep and wake under it.
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { commands } from '../../cli/commands/index.ts';
import { runProgram } from '../../cli/program.ts';
import type { ScrubFacts } from '../../src/app/scrubbing.ts';
import { flipBit } from '../support/flip.ts';
import { runCli } from '../support/run-cli.ts';
import { scrubbed as scrubbedOf, statusOf } from '../support/scrub.ts';
import { poll, startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
const idlePolicy = { maxIdleDurationSeconds: 600, suspendedDurationSeconds: 6000, autoResumeEnabled: true };
let it: TestServer;
beforeEach(async () => {
  it = await startTestServer({ driver: 'fake' });
});
afterEach(() => it.close());

const scrubbed = (): Promise<ScrubFacts> => scrubbedOf(it.data);

async function sleeper(): Promise<{ id: string; endpoint: string; token: Record<string, string>; buildId: string }> {
  const { imageArn } = await it.build('app', zip);
  const vm = await it.run(imageArn, { idlePolicy });
  await it.get(vm.endpoint, vm.token);
  await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
  await it.until(vm.id, 'SUSPENDED');
  const [buildId = ''] = await readdir(join(it.data, 'images'));
  return { ...vm, buildId };
}

async function objectFiles(suffix: (name: string) => boolean): Promise<string[]> {
  const root = join(it.data, 'objects', 'buckets');
  return (await readdir(root, { recursive: true })).filter(suffix).map((name) => join(root, name));
}

test('each kept file is found by one pass when a bit flips, and is well again when it is put right', async () => {
  const { id, buildId } = await sleeper();
  const [data = ''] = await objectFiles((name) => /\.[0-9a-f]{24}$/.test(name));
  const [record = ''] = await objectFiles((name) => /[0-9a-f]{64}\.json$/.test(name));
  const [bucket = ''] = await objectFiles((name) => name.endsWith('bucket.json'));
  expect(await scrubbed()).toMatchObject({ damage: [] });
  const vm = { microvmId: id };
  const places: [string, object][] = [
    [join(it.data, 'images', buildId, 'manifest.json'), { buildId }],
    [join(it.data, 'images', buildId, 'state.json'), { buildId }],
    [join(it.data, 'images', buildId, 'image.json'), { buildId }],
    [join(it.data, 'vms', id, 'sleep-1', 'manifest.json'), vm],
    [join(it.data, 'vms', id, 'sleep-1', 'state.json'), vm],
    [join(it.data, 'vms', id, 'microvm.json'), vm],
    [join(it.data, 'keys', 'tokens.json'), {}],
    ...[data, record, bucket].map((path): [string, object] => [path, {}]),
  ];
  for (const [index, [file, owner]] of places.entries()) {
    const mend = await flipBit(file, 0.05 + (0.9 * index) / places.length);
    const { damage } = await scrubbed();
    expect(damage, file).toContainEqual(expect.objectContaining({ file, ...owner, why: expect.any(String) }));
    await mend();
  }
  const { damage, last } = await scrubbed();
  expect(damage).toEqual([]);
  expect(last?.files).toBeGreaterThan(6);
});

test('a MicroVM with damage does not wake, says why, and wakes when the file was put right and a pass has seen it', async () => {
  const { id, endpoint, token, buildId } = await sleeper();
  // The fake driver never looks at this file: only what was found stops the wake.
  const mend = await flipBit(join(it.data, 'images', buildId, 'image.json'));
  await scrubbed();
  const refused = await it.get(endpoint, token);
  expect(refused.status).toBeGreaterThanOrEqual(500);
  const { stateReason } = await it.lambda.getMicrovm({ microvmIdentifier: id });
  expect(stateReason).toMatch(/image\.json is damaged/);
  const [out, err] = [[] as string[], [] as string[]];
  const around = {
    ...{ env: {}, homeDirectory: '/', workingDirectory: '/', repositoryDirectory: '/' },
    out: { write: (text: string) => void out.push(text), isTty: false },
    err: { write: (text: string) => void err.push(text), isTty: false },
    console: () => expect.fail(),
  };
  expect(await runProgram(commands, ['show', id, '--data', it.data], '0', around)).toBe(0);
  expect(JSON.parse(out.splice(0).join('')).damage).toMatchObject([{ buildId, why: 'its checksum does not fit' }]);
  // What was found outlives the server.
  await it.restart();
  const { endpoint: now = '' } = await it.lambda.getMicrovm({ microvmIdentifier: id });
  expect((await it.get(now, token)).status).toBeGreaterThanOrEqual(500);
  expect(await runProgram(commands, ['scrub', '--mib-per-second', '0', '--data', it.data], '0', around)).toBe(1);
  expect(out.splice(0).join('')).toContain(`image.json\n    its checksum does not fit; of image of build ${buildId}`);
  await mend();
  expect(await runProgram(commands, ['scrub', '--mib-per-second', '0', '--data', it.data], '0', around)).toBe(0);
  expect(out.splice(0).join('')).toContain('Nothing is damaged.');
  expect((await it.get(now, token)).body.trim()).toBe('2');
  expect(await runProgram(commands, ['verify', '--data', it.data], '0', around)).toBe(0);
  expect(out.splice(0).join('')).toMatch(/^Ledger: \d+ [0-9a-f]{64}\nThe database is whole\.\n$/);
  expect(err).toEqual([]);
});

test('an image or a snapshot that is gone altogether is found, for the rows promise it', async () => {
  const { id, buildId } = await sleeper();
  const [vm, image] = [join(it.data, 'vms', id), join(it.data, 'images', buildId)];
  const aside = join(it.data, 'aside');
  for (const [gone, found, why] of [
    [join(vm, 'sleep-1'), { file: vm, microvmId: id }, 'there is no snapshot in it'],
    [vm, { file: vm, microvmId: id }, 'it is missing'],
    [image, { file: image, buildId }, 'it is missing'],
  ] as const) {
    await rename(gone, aside);
    expect((await scrubbed()).damage).toContainEqual(expect.objectContaining({ ...found, why }));
    await rename(aside, gone);
    expect((await scrubbed()).damage).toEqual([]);
  }
});

test('whoever waits for a pass hears that another one took its place', async () => {
  await it.s3.putObject({ Bucket: 'test-bucket', Key: 'slow', Body: Buffer.alloc(30 << 20, 1) });
  const waiting = runCli(['scrub', '--mib-per-second', '1', '--data', it.data]);
  await poll('the slow pass', async () => ((await statusOf(it.data)).underWay ? true : undefined));
  await scrubbed();
  expect(await waiting).toMatchObject({ exitCode: 1, err: expect.stringContaining('Another pass was asked for') });
});

test('what changes while it is read is no damage', async () => {
  const { id, endpoint, token } = await sleeper();
  let busy = true;
  const changing = (async () => {
    for (let n = 0; busy; n++) {
      await it.get(endpoint, token);
      await it.s3.putObject({ Bucket: 'test-bucket', Key: 'often', Body: `content ${n}` });
      await it.lambda.suspendMicrovm({ microvmIdentifier: id });
      await it.until(id, 'SUSPENDED');
      if (n % 3 === 2) await it.s3.deleteObject({ Bucket: 'test-bucket', Key: 'often' });
    }
  })();
  try {
    for (let pass = 0; pass < 12; pass++) expect((await scrubbed()).damage).toEqual([]);
  } finally {
    busy = false;
    await changing;
  }
});
