// What `orphans` and `gc` say of a server's answers, and what they ask of it.
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCli } from '../../tests/support/run-cli.ts';

const held = {
  ...{ id: 'microvm:microvm-0f0c1d5a-93c7-4e53-8d1e-5f0a6f3f1b77', kind: 'microvm', where: '/data/vms/x' },
  ...{ why: 'No record knows this MicroVM.', ageMs: 3 * 86_400_000, bytes: 1.25 * 2 ** 30, holdsState: true },
  cleaning: 'Its VM, if there is one, is ended, and its files are removed.',
};
const slot = {
  ...{
    id: 'slot:3',
    kind: 'slot',
    where: 'wb-ab12c-3',
    why: 'No VM uses this network slot.',
    ageMs: 125_000,
    bytes: 0,
  },
  ...{ cleaning: 'Its namespace and its link are removed.', holdsState: false },
};

interface Exchange {
  path: string;
  body: unknown;
}

/** A server that gives these answers, one after the other, and a data directory that leads to it. */
async function answering(...answers: unknown[]) {
  const asked: Exchange[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (chunk) => {
      text += chunk;
    });
    request.on('end', () => {
      asked.push({ path: `${request.method} ${request.url}`, body: text === '' ? undefined : JSON.parse(text) });
      response.end(JSON.stringify(answers.shift()));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-cli-'));
  const facts = { apiUrl, s3Url: apiUrl, gatewayPort: 1, caFile: '/ca', region: 'us-east-1', pid: 1 };
  const key = { accessKeyId: 'AKIAX', secretAccessKey: 'secret' };
  await writeFile(join(directory, 'server.json'), JSON.stringify({ ...facts, ...key }));
  return {
    asked,
    run: (...args: string[]) => runCli([...args, '--data', directory]),
    async [Symbol.asyncDispose]() {
      server.close();
      await rm(directory, { recursive: true });
    },
  };
}

test('orphans are listed with what to do, within 80 columns', async () => {
  await using server = await answering(
    { orphans: [held, slot], leftovers: [] },
    { orphans: [], leftovers: [{ what: '/data/vms/a.removed', why: 'EBUSY', attempts: 3, sinceMs: 1 }] },
    { orphans: [slot], leftovers: [] },
  );
  const { exitCode, out } = await server.run('orphans');
  expect(exitCode).toBe(0);
  expect(out).toBe(`     SIZE  AGE  ID
  1.3 GiB   3d  microvm:microvm-0f0c1d5a-93c7-4e53-8d1e-5f0a6f3f1b77 *
                No record knows this MicroVM. If reaped: Its VM, if there is
                one, is ended, and its files are removed.
        -   2m  slot:3
                No VM uses this network slot. If reaped: Its namespace and its
                link are removed.
2 orphans, 1.3 GiB.
Reap those without a mark: waterbear orphans --reap
* may hold somebody's work. Reap it by its id: waterbear orphans --reap ID
`);
  expect(out.split('\n').every((line) => line.length <= 80)).toBe(true);
  expect((await server.run('orphans')).out).toBe(
    '1 thing could not be removed so far. The server goes on trying:\n  /data/vms/a.removed: EBUSY\nThere are no orphans.\n',
  );
  expect(JSON.parse((await server.run('orphans', '--json')).out)).toMatchObject({ orphans: [{ id: 'slot:3' }] });
  expect(server.asked.map(({ path }) => path)).toEqual(Array(3).fill('GET /waterbear/v1/orphans'));
});

test('reaping asks for all, or for those that are named, until the server is through', async () => {
  const done = { id: 'slot:3', done: true, bytes: 0 };
  const other = { id: 'slot:4', done: true, bytes: 2 ** 20 };
  const refused = { id: 'slot:5', done: false, why: 'It is not an orphan now.', bytes: 0 };
  await using server = await answering(
    { reaped: [done], more: true },
    { reaped: [other], more: false },
    { reaped: [done], more: true },
    { reaped: [other, refused], more: false },
    { reaped: [], more: false },
  );
  const all = await server.run('orphans', '--reap');
  expect(all).toMatchObject({ exitCode: 0, out: expect.stringContaining('2 of 2 orphans reaped, 1.0 MiB freed.\n') });
  const some = await server.run('orphans', '--reap', 'slot:3', 'slot:4', 'slot:5');
  expect(some).toMatchObject({ exitCode: 1, out: expect.stringContaining('2 of 3 orphans reaped') });
  expect(some.out).toContain('It is not an orphan now.');
  expect((await server.run('orphans', '--reap')).out).toBe('There was nothing to reap.\n');
  expect(server.asked.map(({ body }) => body)).toEqual([
    { all: true },
    { all: true },
    { ids: ['slot:3', 'slot:4', 'slot:5'] },
    { ids: ['slot:4', 'slot:5'] },
    { all: true },
  ]);
});

const log = {
  ...{ policy: 'keep-logs', id: 'build-log:1111', where: '/data/logs/1111.log', bytes: 4096 },
  ...{ why: 'Its build ended more than 7d ago (--keep-logs).', cleaning: 'The log is removed; the image stays.' },
};

test('gc says what it would free, and what it has freed', async () => {
  await using server = await answering(
    { dryRun: true, pieces: [log], bytes: 4096, more: false, kept: [held] },
    { dryRun: false, pieces: [{ ...log, done: true }], bytes: 4096, more: true, kept: [] },
    { dryRun: false, pieces: [{ ...log, done: false, failure: 'Busy.' }], bytes: 0, more: true, kept: [] },
    { dryRun: true, pieces: [], bytes: 0, more: false, kept: [] },
  );
  const dry = await server.run('gc', '--dry-run');
  expect(dry).toMatchObject({ exitCode: 0, err: '' });
  expect(dry.out).toBe(`     SIZE  ID
     4 kB  build-log:1111
           Its build ended more than 7d ago (--keep-logs). The log is removed;
           the image stays.
1 thing, 4 kB would be freed.
Free it: waterbear gc
1 orphan with 1.3 GiB may hold somebody's work and stay:
  microvm:microvm-0f0c1d5a-93c7-4e53-8d1e-5f0a6f3f1b77
See waterbear orphans.
`);
  const wet = await server.run('gc');
  expect(wet).toMatchObject({ exitCode: 1, out: expect.stringContaining('Not done: Busy.') });
  expect(wet.out).toContain('1 thing, 4 kB freed.');
  expect((await server.run('gc', '--dry-run')).out).toBe('There is nothing to free.\n');
  expect(server.asked.map(({ body }) => (body as { dryRun: boolean }).dryRun)).toEqual([true, false, false, true]);
});

test('without a running server there is a hint, and nothing is touched', async () => {
  const stopped = await answering();
  await using _ = stopped;
  const never = await runCli(['gc', '--data', '/nowhere']);
  expect(never).toMatchObject({ exitCode: 1, err: expect.stringContaining('waterbear serve') });
});

test.each([
  [['--keep-suspended', '30'], '--keep-suspended: must be a time such as'],
  [['--keep-suspended', '0d'], '--keep-suspended: must be a time such as'],
  [['--keep-versions', '0'], '--keep-versions: must be a whole number, 1 to 10000'],
  [['--keep-ended', 'never'], 'or forever'],
  [['--reap', 'forever'], 'or never'],
])('serve %j is refused', async (flags, message) => {
  expect(await runCli(['serve', ...flags])).toMatchObject({ exitCode: 2, err: expect.stringContaining(message) });
});
