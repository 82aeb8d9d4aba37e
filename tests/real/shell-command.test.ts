// `waterbear shell` as people use it: in a terminal, in a pipe, and when something is not as it should be.
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { RunMicrovmRequest } from '@aws-sdk/client-lambda-microvms';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { managedConnectorArn } from '../../src/lib/arn.ts';
import { projectZip } from '../support/real-node.ts';
import { startTestServer, type TestServer } from '../support/server.ts';

const program = resolve(import.meta.dirname, '../../bin/waterbear');
let it: TestServer;
let imageArn: string;
let id: string;

beforeAll(async () => {
  it = await startTestServer();
  ({ imageArn } = await it.build('shell-command', await projectZip('privileges')));
  id = await launch('HTTP_INGRESS', 'SHELL_INGRESS');
});
afterAll(() => it?.close());

async function launch(...ingress: string[]): Promise<string> {
  const order: RunMicrovmRequest = {
    imageIdentifier: imageArn,
    idlePolicy: { maxIdleDurationSeconds: 3_600, suspendedDurationSeconds: 600, autoResumeEnabled: true },
    ingressNetworkConnectors: ingress.map((name) => managedConnectorArn('us-east-1', name)),
  };
  return (await it.lambda.runMicrovm(order)).microvmId ?? '';
}

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  out: string;
  err: string;
}

interface Running {
  type(text: string): void;
  endInput(): void;
  until(text: string): Promise<string>;
  kill(signal: NodeJS.Signals): void;
  ended: Promise<Ended>;
}

function start(command: string, args: readonly string[]): Running {
  const child = spawn(command, args, { stdio: 'pipe', env: { ...process.env, WATERBEAR_DATA: it.data } });
  let [out, err] = ['', ''];
  let look = (): void => {};
  child.stdout.on('data', (chunk) => {
    out += chunk;
    look();
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const ended = new Promise<Ended>((done) =>
    child.once('close', (code, signal) => {
      look();
      done({ code, signal, out, err });
    }),
  );
  return {
    type: (text) => void child.stdin.write(text),
    endInput: () => void child.stdin.end(),
    until: (text) =>
      new Promise((found, fail) => {
        look = () => {
          if (out.includes(text)) found(out);
          else if (child.exitCode !== null) fail(new Error(`${JSON.stringify({ out, err })} without ${text}`));
        };
        look();
      }),
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

/** Without a terminal. */
function run(args: readonly string[], input = ''): Promise<Ended> {
  const running = start(program, ['shell', ...args]);
  running.type(input);
  running.endInput();
  return running.ended;
}

/** In a pseudo terminal of util-linux; `before` and `after` run in it too. */
function inTerminal(words: string, after = '', before = ''): Running {
  const command = `stty rows 33 cols 99; ${before} ${program} shell ${words}; code=$?; ${after} exit $code`;
  return start('script', ['-qefc', command, '/dev/null']);
}

test('in a pipe: output apart from errors, input to its end, the exit code as its own', async () => {
  expect(await run([id, '--', 'sh', '-c', 'cat; echo bad >&2; exit 3'], 'given\n')).toMatchObject({
    ...{ code: 3, out: 'given\n', err: 'bad\n' },
  });
  expect(await run([id, '-c', 'seq 3 | wc -l'])).toMatchObject({ code: 0, out: '3\n', err: '' });
  expect(await run([id], 'echo from input; exit 4\n')).toMatchObject({ code: 4, out: 'from input\n' });
  expect(await run([id, '--', 'sh', '-c', 'kill -15 $$'])).toMatchObject({ code: 143 });
  expect(await run([id, '--', 'no-such-thing'])).toMatchObject({ code: 127, err: 'no-such-thing: not found\n' });
  const big = 'x'.repeat(3_000_000);
  expect((await run([id, '--', 'cat'], big)).out.length).toBe(big.length);
  // A reader that has enough ends it.
  const piped = start('sh', ['-c', `${program} shell ${id} -- yes | head -2`]);
  expect(await piped.ended).toMatchObject({ code: 0, out: 'y\ny\n' });
});

test('in a terminal: size, keys, resize, exit code, and a terminal that is as it was', async () => {
  const resizeNow = join(it.data, 'resize-now');
  const resizer = `tty=$(tty); (while [ ! -e ${resizeNow} ]; do sleep 0.1; done; stty -F $tty rows 44 cols 88) &`;
  const shell = inTerminal(id, 'stty -a | tr ";" "\\n" | grep -w -e "icanon" -e "echo";', resizer);
  await shell.until('λ $ ');
  shell.type('stty size; tty\r');
  await shell.until('33 99\r\n/dev/pts/');
  shell.type("sh -c 'echo begun-$((1+1)); exec sleep 1000'\r");
  await shell.until('begun-2\r\n');
  shell.type('\x03');
  await shell.until('^C');
  shell.type('echo was=$?; until stty size | grep "44 88"; do sleep 0.1; done; exit 9\r');
  await shell.until('was=130');
  await writeFile(resizeNow, '');
  const { code, out } = await shell.ended;
  expect(code).toBe(9);
  expect(out).toMatch(/[^-]icanon/);
  expect(out).toMatch(/\becho\b/);
});

test('in a terminal a command has one too; ~. leaves, and a signal restores', async () => {
  const command = inTerminal(`${id} -- sh -c 'tty; stty size'`);
  expect((await command.ended).out).toMatch(/^\/dev\/pts\/\d+\r\n33 99\r\n$/);
  const left = inTerminal(id, 'stty -a | grep -wo -e "icanon" -e "-icanon";');
  await left.until('λ $ ');
  left.type('~.');
  const { code, out } = await left.ended;
  expect(code).toBe(255);
  expect(out).toContain('was closed');
  expect(out).toMatch(/\nicanon/);
  const stopped = start(program, ['shell', id, '--', 'sh', '-c', 'echo up; sleep 1000']);
  await stopped.until('up');
  stopped.kill('SIGTERM');
  expect(await stopped.ended).toMatchObject({ code: 143 });
});

test('a suspend says what to do, and the next shell wakes it', async () => {
  const shell = inTerminal(id);
  await shell.until('λ $ ');
  await it.lambda.suspendMicrovm({ microvmIdentifier: id });
  const { code, out } = await shell.ended;
  expect(code).toBe(255);
  expect(out).toMatch(/was suspended\. Run the command again/);
  await it.until(id, 'SUSPENDED');
  expect(await run([id, '--', 'echo', 'back'])).toEqual({
    ...{ code: 0, signal: null, out: 'back\n' },
    err: `MicroVM ${id} is asleep: waking it …\n`,
  });
});

test('what is wrong is said with what to do', async () => {
  expect(await run(['microvm-none'])).toMatchObject({
    code: 255,
    err: expect.stringMatching(/no MicroVM .*list-microvms/),
  });
  const plain = await launch('HTTP_INGRESS');
  expect(await run([plain])).toMatchObject({
    code: 255,
    err: expect.stringMatching(/without SHELL_INGRESS.*--ingress-network-connectors/),
  });
  await it.lambda.terminateMicrovm({ microvmIdentifier: plain });
  expect(await run([plain])).toMatchObject({ code: 255, err: expect.stringContaining('has ended') });
  expect(await run([])).toMatchObject({ code: 2, err: expect.stringContaining("missing required argument 'id'") });
  expect(await run(['a b'])).toMatchObject({ code: 2, err: expect.stringContaining('id: must be the id') });
  expect(await run([id, '-c', 'ls', '--', 'ls'])).toMatchObject({
    code: 2,
    err: expect.stringContaining('beside a command'),
  });
  const shell = inTerminal(id);
  await shell.until('λ $ ');
  await it.lambda.terminateMicrovm({ microvmIdentifier: id });
  expect(await shell.ended).toMatchObject({ code: 255, out: expect.stringContaining('has ended') });
});
