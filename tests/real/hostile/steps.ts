// What a RUN step finds, reaches and changes, wherever it runs.
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { run } from '../../../src/lib/process.ts';
import type { BuildHost } from '../../support/hostile/build-host.ts';
import type { Steps } from '../../support/hostile/build-probes.ts';
import { toolkitDirectory } from '../../support/real-node.ts';

export function stepProbes(host: () => BuildHost, steps: () => Steps): void {
  test('runs to its end, so that the others mean something', () => {
    expect(steps().told('end')).toBe(1);
    expect(steps().built.failure?.message).toMatch(/CONTAINER_BUILD_FAILED/);
  });

  test("finds no file of the host's", () => {
    for (const way of ['files', 'links', 'escape']) expect(steps().told(way)).toEqual([]);
    expect(steps().built.log).not.toContain(host().secret);
  });

  test("sees nobody's environment but its own", () => expect(steps().told('environments')).toEqual([]));

  test('reaches neither the host nor private networks', () => {
    expect(steps().told<{ connected: string[] }>('scan').connected).toEqual([]);
    const answers = steps().told<string[]>('datagrams');
    expect(answers.filter((said) => /^([0-9a-f]{2})+$/.test(said))).toEqual([]);
    expect(steps().visits).toEqual([]);
  });

  test("changes nothing of the host's kernel", async () => {
    expect(steps().told<string[]>('kernel').length).toBeGreaterThan(5);
    for (const name of ['core_pattern', 'hostname', 'panic'])
      expect(await readFile(`/proc/sys/kernel/${name}`, 'utf8')).not.toMatch(new RegExp(`${host().secret}|evil`));
  });

  test('kills nobody outside', () => {
    expect(steps().told('kills')).not.toBe('seen');
    const { exitCode, signalCode } = host().sentinel;
    expect({ exitCode, signalCode }).toEqual({ exitCode: null, signalCode: null });
  });

  test('leaves no set-user-id program for other users of the host', async () => {
    expect(steps().told('marks')).toBeDefined();
    const places = [toolkitDirectory, host().real.directory, '/tmp', '/var/tmp'];
    const user = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
    const find = [...user, 'find', ...places, '-name', 'marked-setuid'];
    // What `find` may not enter is no failure here.
    const { stdout } = await run('sh', ['-c', 'setpriv "$@" 2>/dev/null || :', 'sh', ...find]);
    expect(stdout).toBe('');
  });

  test('writes no control characters into what people are told', () => {
    const message = steps().built.failure?.message ?? '';
    expect(message).toContain('taking the snapshot');
    const codes = [...message].map((one) => one.charCodeAt(0));
    expect(codes.filter((code) => (code < 32 && code !== 9 && code !== 10) || code === 127)).toEqual([]);
  });
}
