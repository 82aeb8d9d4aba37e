// A backup of a whole server on the fake driver while its MicroVMs change, and a server that goes on from it.
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { commands } from '../../cli/commands/index.ts';
import { runProgram } from '../../cli/program.ts';
import type { BackupReport } from '../../src/backup/make-backup.ts';
import { checkDatabaseFile } from '../../src/store/check-database.ts';
import { flipBit } from '../support/flip.ts';
import { scrubbed } from '../support/scrub.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
const idlePolicy = { maxIdleDurationSeconds: 600, suspendedDurationSeconds: 6000, autoResumeEnabled: true };
const repositoryDirectory = join(import.meta.dirname, '../..');
let it: TestServer;
let place: string;
beforeEach(async () => {
  it = await startTestServer({ driver: 'fake' });
  place = await mkdtemp(join(tmpdir(), 'waterbear-backup-'));
});
afterEach(async () => {
  await it.close();
  await rm(place, { recursive: true, force: true });
});

async function waterbear(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err] = [[] as string[], [] as string[]];
  const to = (lines: string[]) => ({ write: (text: string) => void lines.push(text), isTty: false });
  const around = {
    env: {},
    homeDirectory: '/',
    workingDirectory: place,
    repositoryDirectory,
    console: () => expect.fail(),
  };
  const code = await runProgram(commands, args, '0', { ...around, out: to(out), err: to(err) });
  return { code, out: out.join(''), err: err.join('') };
}

const backUp = async (name: string): Promise<BackupReport> => {
  const { code, out, err } = await waterbear('backup', name, '--data', it.data, '--json');
  expect([code, err]).toEqual([0, '']);
  return JSON.parse(out) as BackupReport;
};

type Vm = Awaited<ReturnType<TestServer['run']>>;

async function asleep(vm: Vm): Promise<void> {
  await it.until(vm.id, 'RUNNING');
  await it.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
  await it.until(vm.id, 'SUSPENDED');
}

test('what slept goes on where it was, what ran at its last sleep, and what never slept has ended with a reason', async () => {
  const { imageArn } = await it.build('app', zip);
  const [sleeping, running, fresh] = [
    await it.run(imageArn, { idlePolicy }),
    await it.run(imageArn),
    await it.run(imageArn),
  ];
  for (let n = 0; n < 3; n++) await it.get(sleeping.endpoint, sleeping.token);
  await asleep(sleeping);
  await it.get(running.endpoint, running.token);
  await asleep(running);
  await it.lambda.resumeMicrovm({ microvmIdentifier: running.id });
  await it.until(running.id, 'RUNNING');
  for (let n = 0; n < 5; n++) await it.get(running.endpoint, running.token);
  await it.s3.putObject({ Bucket: 'test-bucket', Key: 'a/key with ünicode', Body: 'content' });

  const report = await backUp('one');
  expect(report).toMatchObject({ asleep: 1, leftOut: [] });
  expect(report.old.map(({ microvmId }) => microvmId)).toEqual([running.id]);
  expect(report.missing.map(({ microvmId }) => microvmId)).toEqual([fresh.id]);
  expect((await stat(join(place, 'one'))).mode & 0o777).toBe(0o700);
  const words = await waterbear('backup', 'two', '--data', it.data);
  expect(words.out).toContain(
    `Not in it, for they have no snapshot; suspend them and make another backup to keep them:\n  ${fresh.id}`,
  );

  const restored = await waterbear('restore', 'one', '--data', 'data');
  expect(restored).toMatchObject({ code: 0, out: expect.stringContaining('MicroVMs: 2 sleep, 1 have ended') });
  expect(checkDatabaseFile(join(place, 'data', 'waterbear.db')).problems).toEqual([]);
  const again = await startTestServer({ driver: 'fake', dataDirectory: join(place, 'data'), existing: true });
  try {
    const facts = (id: string) => again.lambda.getMicrovm({ microvmIdentifier: id });
    const one = await facts(sleeping.id);
    expect(one.state).toBe('SUSPENDED');
    // The token of before opens it, and its counter goes on.
    expect((await again.get(one.endpoint ?? '', sleeping.token)).body.trim()).toBe('4');
    const two = await facts(running.id);
    expect([two.state, two.stateReason]).toEqual([
      'SUSPENDED',
      expect.stringContaining('it continues from its snapshot of'),
    ]);
    expect((await again.get(two.endpoint ?? '', running.token)).body.trim()).toBe('2');
    const three = await facts(fresh.id);
    expect([three.state, three.stateReason]).toEqual(['TERMINATED', expect.stringContaining('has no snapshot of it')]);
    const object = await again.s3.getObject({ Bucket: 'test-bucket', Key: 'a/key with ünicode' });
    expect(await object.Body?.transformToString()).toBe('content');
    expect((await again.build('second', zip)).state).toBe('SUCCESSFUL');
    expect((await scrubbed(join(place, 'data'))).damage).toEqual([]);
  } finally {
    await again.close();
  }
});

test('whatever changes meanwhile, each backup is one that restores, with counters that were acknowledged before it', async () => {
  const { imageArn } = await it.build('app', zip);
  const vms = [await it.run(imageArn, { idlePolicy }), await it.run(imageArn, { idlePolicy })];
  const counts = new Map(vms.map(({ id }) => [id, 0]));
  let busy = true;
  const changing = vms.map(async (vm, index) => {
    for (let n = 0; busy; n++) {
      const { body } = await it.get(vm.endpoint, vm.token);
      await asleep(vm);
      counts.set(vm.id, Number(body));
      await it.s3.putObject({ Bucket: 'test-bucket', Key: `key-${index}`, Body: 'x'.repeat(1 + (n % 50)) });
      if (n % 4 === 3) await it.s3.deleteObject({ Bucket: 'test-bucket', Key: `key-${index}` });
    }
  });
  const taken: { name: string; before: Map<string, number> }[] = [];
  try {
    await Promise.all(vms.map((vm) => it.until(vm.id, 'SUSPENDED')));
    for (let n = 0; n < 3; n++) {
      const before = new Map(counts);
      await backUp(`b${n}`);
      taken.push({ name: `b${n}`, before });
    }
  } finally {
    busy = false;
    await Promise.all(changing);
  }
  for (const { name, before } of taken) {
    const data = join(place, `data-${name}`);
    expect(await waterbear('restore', name, '--data', data)).toMatchObject({ code: 0, err: '' });
    expect(checkDatabaseFile(join(data, 'waterbear.db')).problems).toEqual([]);
    const again = await startTestServer({ driver: 'fake', dataDirectory: data, existing: true });
    try {
      expect((await scrubbed(data)).damage).toEqual([]);
      for (const { id, token } of vms) {
        const { endpoint = '' } = await again.lambda.getMicrovm({ microvmIdentifier: id });
        expect(Number((await again.get(endpoint, token)).body)).toBeGreaterThan(before.get(id) ?? 0);
      }
    } finally {
      await again.close();
    }
  }
});

test('a flipped bit, a missing file or a missing list is refused by name, and nothing is made', async () => {
  const { imageArn } = await it.build('app', zip);
  const vm = await it.run(imageArn);
  await asleep(vm);
  await backUp('whole');
  const files = (await readdir(join(place, 'whole'), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  expect(files.length).toBeGreaterThan(10);
  for (const file of files) {
    const mend = await flipBit(file);
    const refused = await waterbear('restore', 'whole', '--data', 'data');
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining(`${file} is damaged`)]);
    await mend();
  }
  const list = await readFile(join(place, 'whole', 'backup.json'));
  const database = join(place, 'whole', 'waterbear.db');
  const content = await readFile(database);
  await rm(database);
  expect((await waterbear('restore', 'whole', '--data', 'data')).err).toContain(
    `${database} is damaged (it is missing)`,
  );
  await writeFile(database, content);
  await rm(join(place, 'whole', 'backup.json'));
  expect((await waterbear('restore', 'whole', '--data', 'data')).err).toContain('is no backup');
  await writeFile(join(place, 'whole', 'backup.json'), list);
  expect((await readdir(place)).sort()).toEqual(['whole']);
  expect((await waterbear('restore', 'whole', '--data', 'data')).code).toBe(0);
  expect((await waterbear('restore', 'whole', '--data', 'data')).err).toContain('it holds something already');
});

test('a target that is taken, a directory without data, a damaged database and a damaged snapshot', async () => {
  await mkdir(join(place, 'full', 'inside'), { recursive: true });
  expect((await waterbear('backup', 'full', '--data', it.data)).err).toContain('it holds something already');
  expect((await waterbear('backup', 'new', '--data', place)).err).toContain('There is no waterbear.db');
  expect((await waterbear('backup', 'deep/new', '--data', it.data)).err).toContain('There is no directory');
  const { imageArn } = await it.build('app', zip);
  const vm = await it.run(imageArn);
  await asleep(vm);
  const state = join(it.data, 'vms', vm.id, 'sleep-1', 'state.json');
  const mend = await flipBit(state);
  const damaged = await waterbear('backup', 'partly', '--data', it.data);
  expect([damaged.code, damaged.out]).toEqual([
    1,
    expect.stringMatching(`damaged or missing:\n  ${vm.id}\nLeft out:\n  MicroVM ${vm.id}: .*state.json is damaged`),
  ]);
  await mend();
  await mkdir(join(place, 'empty'));
  expect((await waterbear('backup', 'empty', '--data', it.data)).code).toBe(0);
  expect(await readdir(place)).not.toContain('empty.new');
});
