import { type Duplex, duplexPair } from 'node:stream';
import { expect, test } from 'vitest';
import { Fault, isFault } from '../lib/errors.ts';
import type { Machine, MachineEnd } from '../vmm/driver.ts';
import { defaultArchiveLimits } from './archive.ts';
import { BuildOutput } from './container-failure.ts';
import { converse, directBuild, type VmBuild, type VmEnding } from './vm-conversation.ts';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const unpacked = (dockerfile: string) => ({
  unpacked: { entries: 2, unpackedBytes: 9, dockerfile: base64(dockerfile) },
});
const built = { built: { imageId: 'sha256:1', inspected: base64('{"a":1}'), codeInstallBytes: 7 } };

function newBuild(onLog: (text: string) => void = () => {}): VmBuild {
  const question = {
    ...{ zipBytes: 1, limits: defaultArchiveLimits, timeoutMs: 5000, maxFileBytes: 1, maxDockerfileBytes: 1 << 20 },
    ...{ buildArguments: [], diskArguments: [], registries: '', authorities: '' },
  };
  const imageAliases = { 'python:3': 'localhost/waterbear/python:3' };
  return { question, output: new BuildOutput(onLog), diskMib: 64, memoryMib: 2048, imageAliases };
}

/** Talks with a VM that says `lines` whatever it is told. Resolves with what the host made of it and what it sent. */
async function talk(lines: object[]): Promise<{ ending: VmEnding; log: string; sent: string[] }> {
  const [host, vm] = duplexPair() as [Duplex, Duplex];
  let log = '';
  const build = newBuild((text) => {
    log += text;
  });
  const ending = converse(host, build);
  let sent = '';
  vm.on('data', (bytes: Buffer) => {
    sent += bytes;
  });
  vm.end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  return { ending: await ending, log, sent: sent.trim().split('\n') };
}

async function reason(lines: object[]): Promise<string> {
  const { ending } = await talk(lines);
  if (!('fault' in ending)) return 'built';
  if (isFault(ending.fault, 'build_failed')) return ending.fault.message;
  throw ending.fault;
}

test('the host checks the Dockerfile and sends it back with names in full', async () => {
  const { ending, log, sent } = await talk([unpacked('FROM python:3\nCMD x'), { log: base64('step\n') }, built]);
  expect(ending).toEqual({ inspected: '{"a":1}', codeInstallBytes: 7 });
  expect(log).toBe('--- the zip holds 2 entries, 9 bytes\nstep\n');
  expect(JSON.parse(sent[1] ?? '')).toEqual({
    dockerfile: base64('FROM localhost/waterbear/python:3\nCMD x'),
    images: [{ name: 'localhost/waterbear/python:3', line: 1 }],
  });
});

test('a Dockerfile that cannot be built stops the VM in order, whatever it then says', async () => {
  const { ending, sent } = await talk([unpacked('RUN <<EOF\nx\nEOF'), { failed: { step: 'stopped' } }]);
  expect(sent[1]).toBe('{"stop":true}');
  expect(String('fault' in ending && ending.fault)).toContain('line 1: the heredoc <<EOF');
  await expect(talk([unpacked('RUN <<EOF'), built])).rejects.toMatchObject({ code: 'guest_failed' });
});

test.each([
  ['a result before the zip was opened', [built]],
  ['a second zip', [unpacked('FROM a'), unpacked('FROM b')]],
  ['no result', [unpacked('FROM a')]],
  ['nothing', []],
])('refused: %s', async (_, lines) => {
  await expect(talk(lines)).rejects.toMatchObject({ code: 'guest_failed' });
});

test('failures read as on the host', async () => {
  const from = unpacked('FROM nobody/nothing:1\nCMD x');
  const failed = (more: object): object[] => [from, { log: base64('last words\n') }, { failed: more }];
  const image = 'docker.io/nobody/nothing:1';
  expect(await reason(failed({ step: 'build', said: 'exit status 3', exitCode: 1 }))).toMatch(
    /^CONTAINER_BUILD_FAILED: The container build failed\. Its last output:\n.*last words/s,
  );
  expect(await reason(failed({ step: 'build', said: 'x: no space left on device' }))).toMatch(/^DISK_STORAGE_FULL/);
  expect(await reason(failed({ step: 'build', late: true }))).toMatch(/^CONTAINER_BUILD_FAILED: .*within 5 s/);
  expect(await reason(failed({ step: 'export', said: 'Could not allocate block' }))).toMatch(
    /^DISK_STORAGE_FULL: .*64 MiB/,
  );
  expect(await reason(failed({ step: 'pull', image, said: 'a\nno route', local: ['localhost/waterbear/a'] }))).toMatch(
    /line 1: the image docker.io\/nobody\/nothing:1 cannot.*pulled: no route.*need no registry: localhost\/waterbear\/a/,
  );
  expect(await reason(failed({ step: 'pull', image: 'evil' }))).toContain('An image could not be pulled');
  expect(await reason(failed({ step: 'cache', what: 'no disk' }))).toMatch(/^INTERNAL_PLATFORM_ERROR: .*no disk/);
  expect(await reason([{ failed: { step: 'archive', reason: 'ARCHIVE_INVALID', what: 'Bad.' } }])).toBe(
    'ARCHIVE_INVALID: Bad.',
  );
});

/** What is told of a VM that says `text`, after which its connection ends, or stays when `text` is absent. */
async function told(text: string | undefined, end: Partial<MachineEnd> | undefined, stops: Partial<Stops> = {}) {
  const [host, vm] = duplexPair() as [Duplex, Duplex];
  if (text !== undefined) vm.end(text);
  vm.resume();
  let looks = 0;
  const guest = {
    start: async () => {},
    async open() {
      // The program listens at the second look.
      if (++looks > 1) return host;
      throw new Fault('guest_failed', { what: 'has nothing listening on port 8080' });
    },
  };
  const ended = end ? Promise.resolve({ what: 'It ended.', consoleTail: '', ...end }) : new Promise(() => {});
  const machine = { guest, ended } as unknown as Machine;
  const never = new AbortController().signal;
  return directBuild(machine, newBuild(), stops.deadline ?? never, stops.signal ?? never).then(
    () => 'no failure',
    (error: unknown) => String(error),
  );
}
interface Stops {
  deadline: AbortSignal;
  signal: AbortSignal;
}

test('a VM without a last word is a failed build that says what happened', async () => {
  expect(await told('', { cause: 'guest_crashed', what: 'The guest kernel panicked.' })).toMatch(
    /CONTAINER_BUILD_FAILED: The VM of the build ended before the build did \(The guest kernel panicked\.\); it has 2048 MiB/,
  );
  expect(await told('', { cause: 'vmm_died', what: 'It fell over.' })).toContain(
    'INTERNAL_PLATFORM_ERROR: It fell over.',
  );
  expect(await told('nonsense\n', undefined)).toMatch(/CONTAINER_BUILD_FAILED: .*no proper answer.*not JSON/);
  expect(await told(undefined, undefined, { deadline: AbortSignal.timeout(200) })).toMatch(
    /CONTAINER_BUILD_FAILED: .*did not finish within 5 s/,
  );
  expect(await told(undefined, undefined, { signal: AbortSignal.timeout(200) })).toContain('was cancelled');
});
