// Lifecycle hooks over the API and below it, on the fake driver: texts, states, and what is called when.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Hooks } from '@aws-sdk/client-lambda-microvms';
import { afterEach, expect, test, vi } from 'vitest';
import type { HookPlan } from '../../src/contract/node-api.ts';
import { startTestServer, type TestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';
import { closeHosts, committed, hostWith } from './node-rig.ts';

afterEach(closeHosts);

const zip = zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]);
const validated = { ready: 'ENABLED', validate: 'ENABLED', validateTimeoutInSeconds: 1 } as const;
const hooks: Hooks = { port: 8080, microvmImageHooks: validated };

/** The server is closed when the test ends. */
async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer & AsyncDisposable> {
  const server = await startTestServer({ driver: 'fake', ...options });
  return Object.assign(server, { [Symbol.asyncDispose]: () => server.close() });
}

const filesOf = (it: TestServer): Promise<string[]> => readdir(join(it.data, 'images'));

test('a validation that succeeds leaves no trace in the image, and its own section in the log', async () => {
  await using it = await start();
  const environmentVariables = { FAKE_VALIDATE_AFTER: '2' };
  const { imageArn, status } = await it.build('good', zip, { hooks, environmentVariables });
  expect(status).toBe('ACTIVE');
  expect((await it.lambda.listMicrovms({})).items).toEqual([]);
  const [log = ''] = await readdir(join(it.data, 'logs'));
  expect(await readFile(join(it.data, 'logs', log), 'utf8')).toMatch(
    /taking the snapshot\n--- validating .*hook validate 503.*: HTTP 503\n.*hook validate 200\n.*: HTTP 200\n$/s,
  );
  const vm = await it.run(imageArn);
  const called = JSON.parse((await it.get(vm.endpoint, vm.token, '/hooks')).body) as { name: string }[];
  expect(called.map(({ name }) => name)).toEqual(['ready']);
});

test.each([
  ['500', { FAKE_VALIDATE_STATUS: '500' }, 'Validate hook check failed: server error (HTTP 500)'],
  ['404 after 503', { FAKE_VALIDATE_STATUS: '404', FAKE_VALIDATE_AFTER: '2' }, 'client error (HTTP 404)'],
  ['503 to the end', { FAKE_VALIDATE_STATUS: '503' }, 'Validate hook invocation timed out after PT1S'],
  ['nothing', { FAKE_VALIDATE_MS: '60000' }, 'Validate hook invocation timed out after PT1S'],
])('a validation answered with %s fails the version, and the image has no files', async (_, script, reason) => {
  await using it = await start();
  const result = await it.build('bad', zip, { hooks, environmentVariables: script });
  expect(result).toMatchObject({ state: 'FAILED', status: 'INACTIVE' });
  expect(result.reason).toContain('VALIDATE_HOOK_FAILED: ');
  expect(result.reason).toContain(reason);
  expect(await filesOf(it)).toEqual([]);
});

test('a snapshot that cannot be restored is found by its validation', async () => {
  await using it = await start();
  const environmentVariables = { FAKE_RESTORE_FAILS: '1' };
  expect(await it.build('torn', zip, { hooks, environmentVariables })).toMatchObject({ state: 'FAILED' });
  expect(await filesOf(it)).toEqual([]);
  // Nobody looks when the hook is not enabled, whatever it would say.
  const unasked = { FAKE_VALIDATE_STATUS: '500' };
  const { state } = await it.build('unasked', zip, { environmentVariables: { ...unasked, ...environmentVariables } });
  expect(state).toBe('SUCCESSFUL');
});

test.each([
  ['open', 'RUNNING'],
  ['aws', 'TERMINATED'],
] as const)('profile %s: after a failed /suspend a MicroVM is %s', async (profile, state) => {
  await using it = await start({ profile });
  const microvmHooks = { suspend: 'ENABLED', suspendTimeoutInSeconds: 5 } as const;
  const environmentVariables = { FAKE_SUSPEND_STATUS: '500' };
  const all = { port: 8080, microvmImageHooks: { ready: 'ENABLED' }, microvmHooks } as const;
  const { imageArn } = await it.build('awake', zip, { hooks: all, environmentVariables });
  const { id } = await it.run(imageArn);
  await it.until(id, 'RUNNING');
  await it.lambda.suspendMicrovm({ microvmIdentifier: id });
  const stateReason = 'Suspend lifecycle hook returned HTTP status 500. It must return 200.';
  await vi.waitFor(async () => {
    expect(await it.lambda.getMicrovm({ microvmIdentifier: id })).toMatchObject({ state, stateReason });
  });
  // A server that cannot put it to sleep would leave it running.
  if (state === 'RUNNING') await it.lambda.terminateMicrovm({ microvmIdentifier: id });
  await it.until(id, 'TERMINATED');
});

test('a validation holds the memory of the image beside the build’s, and gives all of it back when its VM dies', async () => {
  const host = await hostWith();
  const plan: HookPlan = { port: 8080, readySeconds: 5, validateSeconds: 3600 };
  const building = host.build({ hooks: plan, environment: { FAKE_VALIDATE_MS: '600000' } });
  building.catch(() => {});
  await vi.waitFor(() => expect(host.driver.machines[0]?.app.state.hookCalls).toMatchObject({ validate: 1 }));
  expect(committed(host)).toBe(513);
  expect(host.node.list()).toEqual([]);
  await host.driver.machines[0]?.die();
  await expect(building).rejects.toMatchObject({
    code: 'build_failed',
    message: expect.stringMatching(/INTERNAL_PLATFORM_ERROR: .*SIGKILL. That was before it was validated/),
  });
  expect([committed(host), host.driver.machines]).toEqual([0, []]);
  expect(await readdir(join(host.directory, 'images'))).toEqual([host.buildId]);
});

test('a host that closes during a hook waits for no answer and leaves no VM', async () => {
  const host = await hostWith();
  const slow = { FAKE_VALIDATE_MS: '600000', FAKE_RUN_MS: '600000' };
  host.buildId = await host.build({ hooks: { port: 8080, readySeconds: 5, runSeconds: 60 }, environment: slow });
  const hookPlan: HookPlan = { port: 8080, readySeconds: 5, validateSeconds: 3600 };
  const both = Promise.allSettled([host.build({ hooks: hookPlan, environment: slow }), host.launch('slow')]);
  const calls = (): object[] => host.driver.machines.map(({ app }) => app.state.hookCalls);
  const asked = [
    { ready: 1, validate: 1 },
    { ready: 1, run: 1 },
  ];
  await vi.waitFor(() => expect(calls()).toEqual(expect.arrayContaining(asked)));
  let settled = false;
  void both.then(() => {
    settled = true;
  });
  await host.node.close();
  expect([settled, host.driver.machines, committed(host)]).toEqual([true, [], 0]);
  const aborted = { status: 'rejected', reason: expect.objectContaining({ code: 'aborted' }) };
  expect(await both).toEqual([aborted, aborted]);
  expect([host.node.list(), await readdir(join(host.directory, 'vms'))]).toEqual([[], []]);
});

test('each runtime hook is called in its place; /terminate of one that runs, not of one that sleeps', async () => {
  const host = await hostWith();
  const plan = { port: 8080, readySeconds: 5, runSeconds: 5, resumeSeconds: 5, suspendSeconds: 5, terminateSeconds: 5 };
  host.buildId = await host.build({ hooks: plan });
  const names = (): string[] => host.driver.machines.flatMap(({ app }) => app.state.hooks.map(({ name }) => name));
  await host.launch('a');
  expect(host.driver.machines[0]?.app.state.hooks).toEqual([
    { name: 'ready', status: 200 },
    { name: 'run', status: 200, body: '{"microvmId":"microvm-a","runHookPayload":""}' },
  ]);
  await host.node.suspend('microvm-a');
  await host.node.resume('microvm-a');
  expect(names()).toEqual(['ready', 'run', 'suspend', 'resume']);
  const [machine] = host.driver.machines;
  await host.node.terminate('microvm-a');
  expect(machine?.app.state.hooks.at(-1)).toEqual({ name: 'terminate', status: 200 });
  await host.launch('b');
  await host.node.suspend('microvm-b');
  await host.node.terminate('microvm-b');
  expect([host.driver.machines, host.node.list()]).toEqual([[], []]);
});

test('an application that ends during /run is the reason of the launch’s end', async () => {
  const host = await hostWith();
  const environment = { FAKE_RUN_MS: '600000' };
  host.buildId = await host.build({ hooks: { port: 8080, readySeconds: 5, runSeconds: 60 }, environment });
  const launched = host.launch('ends');
  launched.catch(() => {});
  await vi.waitFor(() => expect(host.driver.machines[0]?.app.state.hookCalls).toMatchObject({ run: 1 }));
  await host.driver.machines[0]?.panic();
  await expect(launched).rejects.toMatchObject({ code: 'hook_failed', message: 'The guest kernel panicked.' });
  expect([committed(host), host.node.list()]).toEqual([0, []]);
});
