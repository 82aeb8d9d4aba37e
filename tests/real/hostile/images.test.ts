// Images that are hostile when they start: what the agent makes of them, wherever they were built.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type BuildHost, startBuildHost } from '../../support/hostile/build-host.ts';
import { dockerfile, endless } from '../../support/hostile/build-probes.ts';

let host: BuildHost;
beforeAll(async () => {
  host = await startBuildHost({ buildIsolation: 'host' });
});
afterAll(() => host?.[Symbol.asyncDispose]());

test.each<[string, string]>([
  ['a user that is a path', 'USER ../../etc/passwd\n'],
  ['a user beyond all numbers', 'USER 99999999999999999999\n'],
  ['a command that is a directory', 'ENTRYPOINT ["/etc"]\n'],
  ['a command of a thousand lines', `ENTRYPOINT ["${'\\n'.repeat(1000)}"]\n`],
])('%s: a clear reason', async (_, line) => {
  const { failure } = await host.build([dockerfile(line + endless)]);
  expect(failure).toMatchObject({ code: 'build_failed', facts: { what: expect.stringMatching(/\w+/) } });
  expect(failure?.message.length).toBeLessThan(20_000);
});

test('a root whose /dev, /proc, /etc and /run are links and files', async () => {
  const steps = [
    'mkdir /x && cp /bin/sleep /x/sleep && rm -rf /srv /mnt /media /opt',
    'rm -f /etc/hosts /etc/hostname /etc/resolv.conf /etc/machine-id 2>/dev/null; ln -sf /proc/self/mem /etc/machine-id || :',
    'ln -s ../../../../../../../dev/vda /etc/localtime.x; mkdir -p /x/y; ln -s ../../../.. /x/y/z',
  ];
  const text = `${steps.map((step) => `RUN ${step}`).join('\n')}\nENV BIG=${'b'.repeat(30_000)}\nWORKDIR /x/../../../../y\n`;
  const { failure } = await host.build([dockerfile(text + endless)], { hooks: { port: 9000, readySeconds: 5 } });
  // It starts, and never gets ready; or it is refused. Either way somebody can read why.
  expect(failure).toMatchObject({ code: 'build_failed', facts: { what: expect.stringMatching(/\w+/) } });
  expect(failure?.message).not.toContain('INTERNAL_PLATFORM_ERROR');
});
