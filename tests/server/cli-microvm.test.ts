// The commands about one MicroVM, against a whole server on the fake driver.
import { expect, test } from 'vitest';
import { runCli } from '../support/run-cli.ts';
import { startTestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

test('show and lease', async () => {
  await using stack = new AsyncDisposableStack();
  const it = await startTestServer({ driver: 'fake' });
  stack.defer(() => it.close());
  const { imageArn } = await it.build('app', zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]));
  const { id } = await it.run(imageArn);
  await it.until(id, 'RUNNING');
  const run = (...args: string[]) => runCli([...args, '--data', it.data]);
  const leased = await run('lease', id, '2h');
  expect(leased).toMatchObject({ exitCode: 0, err: '' });
  const until = /^Leased until (\S+) \(RUNNING\)\.\n$/.exec(leased.out)?.[1];
  const shown = await run('show', id);
  expect(JSON.parse(shown.out)).toMatchObject({ microvmId: id, state: 'RUNNING', leasedUntil: until, lastSeen: {} });
  expect(await run('lease', id, '0')).toMatchObject({ exitCode: 0, out: `No lease on ${id} (RUNNING).\n` });
  const long = await run('lease', id, '25h');
  expect([long.exitCode, long.err]).toEqual([1, expect.stringContaining('0 (ends it) to 86400')]);
  for (const name of ['show', 'lease']) {
    const unknown = await run(name, 'microvm-nobody', ...(name === 'lease' ? ['1m'] : []));
    expect([unknown.exitCode, unknown.err]).toEqual([1, expect.stringContaining('microvm-nobody')]);
  }
  await it.lambda.terminateMicrovm({ microvmIdentifier: id });
  await it.until(id, 'TERMINATED');
  const ended = await run('lease', id, '1m');
  expect([ended.exitCode, ended.err]).toEqual([1, expect.stringContaining('is TERMINATED and cannot be leased')]);
});
