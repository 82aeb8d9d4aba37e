// Arguments: what is not understood ends with 2 and says where help is; failures end with 1 and show no stack.
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Fault } from '../src/lib/errors.ts';
import { choiceOption, defineCommand, portOption } from './command.ts';
import { commands } from './commands/index.ts';
import { runProgram } from './program.ts';

const failing = (error: unknown) =>
  defineCommand({
    name: 'fail',
    summary: 'fails',
    details: 'Always.',
    flags: [
      { flags: '--port <port>', text: 'a port' },
      { flags: '--mode <mode>', text: 'a mode' },
    ],
    schema: z.object({ port: portOption.optional(), mode: choiceOption(['a', 'b']).default('a') }),
    run: () => Promise.reject(error),
  });

const noConsole = (): never => {
  throw new Error('no console here');
};

async function run(args: string[], error: unknown = new Error('broken'), env: Record<string, string> = {}) {
  const said = { out: '', err: '' };
  const output = (name: 'out' | 'err') => ({
    isTty: false,
    write: (text: string): void => {
      said[name] += text;
    },
  });
  const where = { homeDirectory: '/nowhere', workingDirectory: '/nowhere', repositoryDirectory: '/nowhere' };
  const around = { env, ...where, out: output('out'), err: output('err'), console: noConsole };
  return { exitCode: await runProgram([...commands, failing(error)], args, '1.2.3', around), ...said };
}

test.each([
  [['nonsense'], "unknown command 'nonsense'", 'waterbear --help'],
  [['fail', '--nonsense'], "unknown option '--nonsense'", 'waterbear fail --help'],
  [['fail', 'extra'], 'too many arguments', 'waterbear fail --help'],
  [['fail', '--port'], 'argument missing', 'waterbear fail --help'],
  [['fail', '--port', '65536'], '--port: must be a port', 'waterbear fail --help'],
  [['fail', '--port', '1e3'], '--port: must be a port', 'waterbear fail --help'],
  [['fail', '--mode', 'c'], '--mode: must be one of: a, b', 'waterbear fail --help'],
  [['serve', '--api-port', 'x'], '--api-port: must be a port', 'waterbear serve --help'],
  [['serve', '--memory', '64'], '--memory: must be a whole number, 128 to 999999999', 'waterbear serve --help'],
  [['serve', '--cpu-burst', '0.1'], '--cpu-burst: must be a number, 0.25 to 1024', 'waterbear serve --help'],
  [['serve', '--parallel-launches', '1.5'], '--parallel-launches: must be a whole', 'waterbear serve --help'],
  [['serve', '--quota', 'images=2', 'x=1'], '--quota: there is no quota "x"; there are: images,', 'serve --help'],
  [['serve', '--quota', 'images=2', '--quota', 'images=x'], '--quota: images must be a whole number', 'serve --help'],
  [['serve', '--quota', 'run-per-second=0'], 'to 1000000, or unlimited', 'waterbear serve --help'],
  [['serve', '--region', 'here'], '--region: must look like us-east-1', 'waterbear serve --help'],
  [['demo', '--endpoint', 'nowhere'], '--endpoint: must be an http or https URL', 'waterbear demo --help'],
  [['show'], "missing required argument 'id'", 'waterbear show --help'],
  [['show', '../x'], 'error: id: must be the id', 'waterbear show --help'],
  [['lease', 'microvm-1', '10d'], 'error: time: must be a time', 'waterbear lease --help'],
  [['lease', 'microvm-1', '1m', 'more'], 'too many arguments', 'waterbear lease --help'],
  [['serve', '--idle-signals', 'cpu=0'], '--idle-signals: cpu must be', 'waterbear serve --help'],
  [
    ['serve', '--idle-signals', 'requests,disk'],
    'there is no signal "disk"; there are: requests',
    'waterbear serve --help',
  ],
  [['logs', '--build', '../x'], '--build: must be a build id', 'waterbear logs --help'],
])('%j is not understood', async (args, what, help) => {
  const { exitCode, out, err } = await run(args);
  expect([exitCode, out]).toEqual([2, '']);
  expect(err).toContain(what);
  expect(err).toContain(help);
});

test('help and version are answers, not errors', async () => {
  expect(await run(['--version'])).toEqual({ exitCode: 0, out: '1.2.3\n', err: '' });
  const { exitCode, out } = await run(['serve', '--help']);
  expect(exitCode).toBe(0);
  for (const flag of ['--data', '--host', '--gateway-port', '--accel', '--quota', 'run-per-second', '--log'])
    expect(out).toContain(flag);
  expect((await run(['--help'])).out).toContain('eval "$(waterbear env)"');
});

test('a Fault is shown as its sentence, with a stack only on request', async () => {
  const fault = new Fault('missing_tool', { tool: 'buildah', next: 'npm run setup' }, new Error('spawn ENOENT'));
  expect(await run(['fail'], fault)).toEqual({
    exitCode: 1,
    out: '',
    err: 'error: buildah was not found. Install it with: npm run setup\n',
  });
  const { err } = await run(['fail'], fault, { WATERBEAR_DEBUG: '1' });
  expect(err).toContain('program.test.ts');
  expect(err).toContain('spawn ENOENT');
});

test('an answer of the service carries its name, status and request id', async () => {
  const metadata = { $metadata: { httpStatusCode: 404, requestId: 'r-1' } };
  const answer = Object.assign(new Error('Unable to find it'), { name: 'ResourceNotFoundException' }, metadata);
  const { err } = await run(['fail'], answer);
  expect(err).toBe('error: ResourceNotFoundException: Unable to find it (HTTP 404, request r-1)\n');
});

test('a server that is not there is named as the cause, also inside of an AggregateError', async () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:9100'), { code: 'ECONNREFUSED' });
  for (const error of [refused, new AggregateError([refused]), new TypeError('fetch failed', { cause: refused })]) {
    expect((await run(['fail'], error)).err).toContain('Is "waterbear serve" running there?');
  }
});
