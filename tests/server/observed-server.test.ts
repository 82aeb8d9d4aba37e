// The whole server on the fake driver, as its operator sees it: access log, metrics, and tokens that are taken back by command.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { commands } from '../../cli/commands/index.ts';
import { runProgram } from '../../cli/program.ts';
import { poll, startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
let directory: string;
let accessLog: string;
let it: TestServer | undefined;
let child: ChildProcess | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-observed-'));
  accessLog = join(directory, 'access.log');
});
afterEach(async () => {
  await it?.close();
  it = undefined;
  if (child && child.exitCode === null && child.signalCode === null) {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
  child = undefined;
  await rm(directory, { recursive: true, force: true });
});

async function start(): Promise<TestServer> {
  it = await startTestServer({ driver: 'fake', accessLog, metricsPort: 0 });
  return it;
}

async function cli(server: TestServer, ...args: string[]) {
  const said = { out: '', err: '' };
  const output = (name: 'out' | 'err') => ({
    isTty: false,
    write: (text: string): void => {
      said[name] += text;
    },
  });
  const where = { homeDirectory: directory, workingDirectory: directory, repositoryDirectory: directory };
  const console = (): never => {
    throw new Error('no console here');
  };
  const around = { env: {}, ...where, console, out: output('out'), err: output('err') };
  return { exitCode: await runProgram(commands, [...args, '--data', server.data], '1.2.3', around), ...said };
}

async function metrics(server: TestServer): Promise<string> {
  const { metricsPort } = JSON.parse(await readFile(join(server.data, 'server.json'), 'utf8'));
  return (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
}

const exists = (path: string): Promise<true | undefined> =>
  stat(path).then(
    () => true as const,
    () => undefined,
  );

const written = (path: string, n: number): Promise<Record<string, unknown>[]> =>
  poll(`${n} lines in ${path}`, async () => {
    const lines = (await readFile(path, 'utf8').catch(() => '')).split('\n').slice(0, -1);
    return lines.length === n ? lines.map((line) => JSON.parse(line)) : undefined;
  });

test('a request that wakes is in the log and the metrics; those of an ended MicroVM are gone', async () => {
  const server = await start();
  const { imageArn } = await server.build('app', zip);
  const vm = await server.run(imageArn, {
    idlePolicy: { maxIdleDurationSeconds: 3600, suspendedDurationSeconds: 600, autoResumeEnabled: true },
  });
  await server.until(vm.id, 'RUNNING');
  await server.lambda.suspendMicrovm({ microvmIdentifier: vm.id });
  await server.until(vm.id, 'SUSPENDED');
  const { status, headers } = await server.get(vm.endpoint, vm.token, '/?token=secret');
  expect(status).toBe(200);
  const [line] = await written(accessLog, 1);
  expect(line).toMatchObject({
    ...{ microvmId: vm.id, imageArn, account: '000000000000', path: '/', status: 200, end: 'answered' },
    ...{ requestId: headers['x-amzn-requestid'], wakeMs: expect.any(Number) },
  });
  const text = await metrics(server);
  const own = `{microvm_id="${vm.id}",account="000000000000"`;
  for (const sample of [
    'waterbear_requests_total{code="2xx"} 1',
    'waterbear_request_held_seconds_count 1',
    'waterbear_act_duration_seconds_count{act="wake"} 1',
    `waterbear_microvm_requests_total${own},code="2xx"} 1`,
    `waterbear_microvm_wakes_total${own}} 1`,
    `waterbear_microvm_held_requests_total${own}} 1`,
  ]) {
    expect(text).toContain(`${sample}\n`);
  }
  await server.lambda.terminateMicrovm({ microvmIdentifier: vm.id });
  await server.until(vm.id, 'TERMINATED');
  expect((await server.get(vm.endpoint, vm.token)).status).toBe(502);
  const after = await metrics(server);
  expect(after).not.toContain(vm.id);
  expect(after).toContain('waterbear_requests_total{code="2xx"} 1\n');
});

test('tokens are taken back by command, for good', async () => {
  const server = await start();
  const { imageArn } = await server.build('app', zip);
  const vm = await server.run(imageArn);
  const [token, other] = [vm.token, await server.token(vm.id)];
  const statuses = async () => [
    (await server.get(vm.endpoint, token)).status,
    (await server.get(vm.endpoint, other)).status,
    (await server.get(vm.endpoint, await server.token(vm.id))).status,
  ];
  const good = { exitCode: 0, out: 'Revoked.\n', err: '' };
  expect(await cli(server, 'revoke', '--token', String(Object.values(token)[0]))).toEqual(good);
  expect(await statuses()).toEqual([403, 200, 200]);
  await server.restart();
  // A free port, taken anew.
  vm.endpoint = (await server.lambda.getMicrovm({ microvmIdentifier: vm.id })).endpoint ?? '';
  expect(await statuses()).toEqual([403, 200, 200]);
  const lines = await written(accessLog, 6);
  expect(await cli(server, 'revoke', '--microvm', vm.id, '--token-id', String(lines[1]?.tokenId))).toEqual(good);
  expect(await statuses()).toEqual([403, 403, 200]);
  const third = await server.token(vm.id);
  expect(await cli(server, 'rotate-keys')).toEqual({ exitCode: 0, out: 'New tokens have a new key.\n', err: '' });
  expect((await server.get(vm.endpoint, third)).status).toBe(200);
  expect(await cli(server, 'revoke', '--microvm', vm.id)).toEqual(good);
  expect((await server.get(vm.endpoint, third)).status).toBe(403);
  const fourth = await server.token(vm.id);
  expect(await cli(server, 'revoke', '--everything')).toEqual(good);
  expect((await server.get(vm.endpoint, fourth)).status).toBe(403);
  expect(await statuses()).toEqual([403, 403, 200]);
});

test('what cannot be revoked is said clearly', async () => {
  const server = await start();
  for (const args of [[], ['--everything', '--token', 'x'], ['--token-id', 'x'], ['--token', 'x', '--microvm', 'y']]) {
    const { exitCode, err } = await cli(server, 'revoke', ...args);
    expect([exitCode, err]).toEqual([1, expect.stringContaining('What to revoke is not clear')]);
  }
  expect((await cli(server, 'revoke', '--token', 'made-up')).err).toContain('The token is none of this server');
  expect((await cli(server, 'revoke', '--microvm', 'nobody')).err).toContain('Unable to find microvmIdentifier nobody');
});

const repository = resolve(import.meta.dirname, '../..');

/** As a process of its own, on the fake driver. `errors`: where its log goes. */
async function serve({ errors }: { errors?: number }, ...more: string[]): Promise<ChildProcess> {
  const ports = ['--api-port', '0', '--gateway-port', '0', '--driver', 'fake', '--build-isolation', 'host'];
  const args = [join(repository, 'cli/waterbear.ts'), 'serve', '--data', join(directory, 'data'), ...ports, ...more];
  child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', errors ?? 'ignore', 'ipc'] });
  await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`the server ended with ${code}`))),
  ]);
  return child;
}

test('SIGHUP lets the access log begin a new file; without such a log it stops the server in order', async () => {
  const first = await serve({}, '--access-log', accessLog);
  await poll('the access log', () => exists(accessLog));
  await rename(accessLog, `${accessLog}.1`);
  first.kill('SIGHUP');
  await poll('a new access log', () => exists(accessLog));
  first.kill('SIGTERM');
  expect(await once(first, 'exit')).toEqual([0, null]);
  const second = await serve({});
  // As a shell does whose terminal is closed: more than once.
  const again = setInterval(() => second.kill('SIGHUP'), 5);
  expect(await once(second, 'exit').finally(() => clearInterval(again))).toEqual([0, null]);
});

test('a server whose log cannot be written serves, and stops in order', async () => {
  const full = await open('/dev/full', 'w');
  try {
    const server = await serve({ errors: full.fd }, '--log', 'info');
    server.kill('SIGTERM');
    expect(await once(server, 'exit')).toEqual([0, null]);
  } finally {
    await full.close();
  }
});
