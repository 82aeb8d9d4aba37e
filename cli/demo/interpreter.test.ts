// The example application itself, outside of a VM: state, limits, hooks, and health while code runs. Needs python3.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { untilAnswer } from './waiting.ts';

const app = resolve(import.meta.dirname, '../../examples/code-interpreter/app.py');
const hasPython = spawnSync('python3', ['--version']).status === 0;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

describe.skipIf(!hasPython)('code interpreter', () => {
  let root = '';
  let url = '';
  let hooks = '';
  let child: ChildProcess;

  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'interpreter-'));
    const [port, hookPort] = [await freePort(), await freePort()];
    url = `http://127.0.0.1:${port}`;
    hooks = `http://127.0.0.1:${hookPort}/aws/lambda-microvms/runtime/v1`;
    const env = { ...process.env, WORKSPACE: join(root, 'w'), PORT: String(port), HOOK_PORT: String(hookPort) };
    child = spawn('python3', ['-B', app], { env, stdio: 'inherit' });
    const patience = { what: '/ready', deadlineMs: 12_000, intervalMs: 30, signal: AbortSignal.timeout(14_000) };
    await untilAnswer(patience, async () => {
      const answer = await fetch(`${hooks}/ready`, { method: 'POST' }).catch(() => undefined);
      await answer?.arrayBuffer();
      return answer?.status === 200 ? true : undefined;
    });
  });
  afterAll(async () => {
    child.kill('SIGKILL');
    await rm(root, { recursive: true, force: true });
  });

  async function post(body: unknown): Promise<Record<string, unknown>> {
    const answer = await fetch(`${url}/execute`, { method: 'POST', body: JSON.stringify(body) });
    const said = (await answer.json()) as Record<string, unknown>;
    return { ...said, status: answer.status };
  }
  const execute = (code: string, timeoutSeconds = 10) => post({ code, timeoutSeconds });

  test('warming up leaves no trace, variables stay, and output is captured', async () => {
    expect(await execute('x')).toMatchObject({ executionCount: 1, result: null, error: { name: 'NameError' } });
    expect(await execute('import sys\nx = 41\nprint("out")\nprint("err", file=sys.stderr)')).toMatchObject({
      stdout: 'out\n',
      stderr: 'err\n',
      result: null,
      error: null,
    });
    expect(await execute('x + 1')).toMatchObject({ result: '42', executionCount: 3 });
  });

  test('whatever a cell throws ends the cell and not the session', async () => {
    for (const [code, name] of [
      ['raise SystemExit(3)', 'SystemExit'],
      ['raise KeyboardInterrupt', 'KeyboardInterrupt'],
      ['def f(): f()\nf()', 'RecursionError'],
      ['x +', 'SyntaxError'],
    ]) {
      expect(await execute(code ?? '')).toMatchObject({ status: 200, error: { name } });
    }
    expect(await execute('1 #\0')).toMatchObject({ status: 200, error: { name: expect.stringMatching(/Error$/) } });
    expect(await execute('1')).toMatchObject({ result: '1', error: null });
  });

  test('an endless cell is stopped, and health answers meanwhile', async () => {
    const endless = execute('while True:\n  try:\n    pass\n  except Exception:\n    pass', 1);
    await new Promise((done) => setTimeout(done, 200));
    expect(await (await fetch(url)).json()).toMatchObject({ status: 'ok', busy: true });
    expect(await endless).toMatchObject({ error: { name: 'TimeoutError' } });
  });

  test('output has a limit and says so', async () => {
    const { stdout } = await execute('print("a" * 1_000_000)');
    expect(String(stdout).length).toBeLessThan(300_000);
    expect(stdout).toMatch(/\[\d+ more characters were dropped\]$/);
  });

  test.each([
    ['not an object', [1]],
    ['no code', {}],
    ['code that is no string', { code: 1 }],
    ['no time', { code: '1', timeoutSeconds: 0 }],
    ['a boolean as time', { code: '1', timeoutSeconds: true }],
    ['too much time', { code: '1', timeoutSeconds: 1e9 }],
  ])('%s is refused', async (_, body) => {
    expect(await post(body)).toMatchObject({ status: 400, message: expect.any(String) });
  });

  test('files go in and out, and never outside of the workspace', async () => {
    const put = await fetch(`${url}/files/a/b%20c.txt`, { method: 'PUT', body: 'hello' });
    expect(await put.json()).toEqual({ name: 'a/b c.txt', bytes: 5 });
    expect(await execute('open("a/b c.txt").read()')).toMatchObject({ result: "'hello'" });
    expect(await (await fetch(`${url}/files/a/b%20c.txt`)).text()).toBe('hello');
    await execute('import os; os.symlink("/etc", "etc")');
    for (const name of ['%2e%2e%2fx', '%2fetc%2fpasswd', 'etc/passwd', '%00', '']) {
      expect((await fetch(`${url}/files/${name}`)).status, name).toBe(400);
    }
    const huge = { method: 'PUT', body: Buffer.alloc(16 * 1024 * 1024 + 1) };
    const refused = await fetch(`${url}/files/huge`, huge)
      .then((answer) => answer.status)
      .catch(() => 'closed');
    expect([413, 'closed']).toContain(refused);
  });

  test('/run tells who it is and gives Python another random sequence', async () => {
    await execute('import random; random.seed(1); state = random.getstate()');
    const body = JSON.stringify({ microvmId: 'microvm-1', runHookPayload: '' });
    expect((await fetch(`${hooks}/run`, { method: 'POST', body })).status).toBe(200);
    expect(await (await fetch(url)).json()).toMatchObject({ microvmId: 'microvm-1' });
    expect(await execute('random.getstate() == state')).toMatchObject({ result: 'False' });
    for (const hook of ['suspend', 'resume', 'terminate']) {
      expect((await fetch(`${hooks}/${hook}`, { method: 'POST' })).status).toBe(200);
    }
  });
});
