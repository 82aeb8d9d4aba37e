// Lifecycle hooks of an honest application in real VMs: what it is asked, where, and what its answers lead to. Hostile answers: hostile/hooks.
import { readdirSync, readlinkSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { HookPlan } from '../../src/contract/node-api.ts';
import { ask, buildOrder, projectZip, type RealNode, startRealNode } from '../support/real-node.ts';
import { vmmsOf } from '../support/vmms.ts';

type Answers = Partial<Record<'ready' | 'validate', (number | 'silence')[]>>;

interface Call {
  name: string;
  body: string;
  headers: Record<string, string>;
  bootId: string;
}

const imageHooks = { port: 9000, readySeconds: 60, validateSeconds: 60 };

let host: RealNode;
let archivePath: string;
beforeAll(async () => {
  host = await startRealNode();
  archivePath = join(host.directory, 'hooks.zip');
  await writeFile(archivePath, await projectZip('hooks'));
});
afterAll(() => host?.close());

const images = (): string[] => readdirSync(join(host.directory, 'images'));
/** Memory of images that this process holds open. */
const loadedImages = (): string[] =>
  readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return '';
      }
    })
    .filter((target) => target.startsWith('/memfd:wb-'));

/** What the application says of the calls it gets. */
const asksIn = (log: string) =>
  [...log.matchAll(/^asked (\{.*\})/gm)].map(
    ([, text = '']) => JSON.parse(text) as { name: string; bootId: string; calls: number },
  );

function begin(answers: Answers, hooks: HookPlan = imageHooks) {
  const order = buildOrder(archivePath, { memoryMib: 256, hooks, environment: { HOOKS: JSON.stringify(answers) } });
  const build = { buildId: order.buildId, log: '' };
  const error = host.node
    .build(order, (text) => {
      build.log += text;
    })
    .then(
      () => undefined,
      (cause: unknown) => cause,
    );
  const whenValidated = async (): Promise<void> => {
    await expect.poll(() => asksIn(build.log).map(({ name }) => name), { timeout: 60_000 }).toContain('validate');
  };
  return { build, error, whenValidated };
}

test('the image is validated in another VM, of which nothing stays; then the other hooks are called as documented', async () => {
  const hooks = { ...imageHooks, runSeconds: 10, resumeSeconds: 10, suspendSeconds: 10 };
  const { build, error } = begin({ ready: [503, 200], validate: [503, 503, 200] }, hooks);
  expect(await error).toBeUndefined();
  const { buildId, log } = build;
  const asked = asksIn(log);
  // Its memory goes on from the snapshot, which has both calls of `/ready` in it; who it is does not.
  const [builder, , validated] = asked.map(({ bootId }) => bootId);
  expect(asked).toEqual([
    { name: 'ready', bootId: builder, calls: 1 },
    { name: 'ready', bootId: builder, calls: 2 },
    ...[3, 4, 5].map((calls) => ({ name: 'validate', bootId: validated, calls })),
  ]);
  expect(validated).not.toBe(builder);
  expect(log).toMatch(/taking the snapshot.*validating the snapshot.*"validate".*HTTP 503.*HTTP 200/s);
  expect(images()).toEqual([buildId]);
  expect([vmmsOf(host.directory), host.node.list()]).toEqual([[], []]);
  expect(host.node.info().capacity.committedMib).toBe(0);

  const microvmId = 'microvm-hooks';
  await host.node.launch({ microvmId, buildId, runHookPayload: '{"a":"ü"}' });
  await host.node.suspend(microvmId);
  await host.node.resume(microvmId);
  const { calls, file } = await ask<{ calls: Call[]; file: string[] }>(host.node, microvmId);
  expect(calls.map(({ name }) => name)).toEqual(['ready', 'ready', 'run', 'suspend', 'resume']);
  expect(file).toEqual(calls.map(({ name }) => name));
  const shown = calls.slice(2).map(({ body, headers }) => ({ body, headers }));
  const bare = { host: 'localhost:9000', connection: 'close' };
  const body = `{"microvmId":"${microvmId}","runHookPayload":"{\\"a\\":\\"ü\\"}"}`;
  const sized = { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) };
  expect(shown).toEqual([
    { body, headers: { ...bare, ...sized } },
    ...[1, 2].map(() => ({ body: '', headers: { ...bare, 'content-length': '0' } })),
  ]);
  const ids = new Set(calls.slice(2).map(({ bootId }) => bootId));
  expect([ids.size, ids.has(builder ?? ''), ids.has(validated ?? '')]).toEqual([1, false, false]);
  await host.node.terminate(microvmId);
  await host.node.deleteImage(buildId);
  expect(loadedImages()).toEqual([]);
});

test.each([
  ['500', [503, 500], 60, 'VALIDATE_HOOK_FAILED: Validate hook check failed: server error (HTTP 500)'],
  ['nothing', ['silence'], 2, 'VALIDATE_HOOK_FAILED: Validate hook invocation timed out after PT2S'],
] as const)(
  'validation is answered with %s: the build fails and leaves nothing',
  async (_, validate, seconds, message) => {
    const { error } = begin({ validate: [...validate] }, { ...imageHooks, validateSeconds: seconds });
    expect(await error).toMatchObject({ code: 'build_failed', message });
    expect([images(), vmmsOf(host.directory), loadedImages()]).toEqual([[], [], []]);
    expect(host.node.info().capacity.committedMib).toBe(0);
  },
);

test('a VMM that dies while it validates fails the build', async () => {
  const { error, whenValidated } = begin({ validate: ['silence'] });
  await whenValidated();
  for (const pid of vmmsOf(host.directory)) process.kill(Number(pid), 'SIGKILL');
  expect(await error).toMatchObject({
    code: 'build_failed',
    message: expect.stringMatching(/INTERNAL_PLATFORM_ERROR: .*SIGKILL.*before it was validated/),
  });
  expect([images(), vmmsOf(host.directory)]).toEqual([[], []]);
});

test('a host that closes while an image is validated ends that at once', async () => {
  const { error, whenValidated } = begin({ validate: ['silence'] });
  await whenValidated();
  const start = performance.now();
  await host.restart();
  // The hook would have had a minute.
  expect(performance.now() - start).toBeLessThan(30_000);
  expect(await error).toMatchObject({ code: 'aborted' });
  expect([images(), vmmsOf(host.directory)]).toEqual([[], []]);
});
