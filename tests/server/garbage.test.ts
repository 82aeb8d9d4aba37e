// Orphans and garbage collection of a whole server, through its signed API and the command line.
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runCli } from '../support/run-cli.ts';
import { startTestServer } from '../support/server.ts';
import { zipOf } from '../support/zip.ts';

test('gc applies the policies of the server that runs', async () => {
  await using stack = new AsyncDisposableStack();
  const it = await startTestServer({ driver: 'fake', keepLogsMs: 1000, metricsPort: 0 });
  stack.defer(() => it.close());
  await it.build('app', zipOf([{ name: 'Dockerfile', data: 'FROM scratch\nCMD ["x"]\n' }]));
  const run = (...args: string[]) => runCli([...args, '--data', it.data]);
  const logs = (): Promise<string[]> => readdir(join(it.data, 'logs'));
  const [log = ''] = await logs();
  await expect.poll(async () => (await run('gc', '--dry-run', '--json')).out, { timeout: 20_000 }).toContain(log);
  expect(await logs()).toEqual([log]);
  const freed = await run('gc');
  expect(freed).toMatchObject({ exitCode: 0, err: '', out: expect.stringContaining('1 thing, ') });
  expect(await logs()).toEqual([]);
  expect(await run('gc')).toMatchObject({ exitCode: 0, out: 'There is nothing to free.\n' });

  // What was made just now is no orphan, and cannot be reaped as one.
  await writeFile(join(it.data, 'logs', '00000000-0000-4000-8000-000000001111.log'), 'x');
  expect(await run('orphans')).toMatchObject({ exitCode: 0, out: 'There are no orphans.\n' });
  const early = await run('orphans', '--reap', 'build-log:00000000-0000-4000-8000-000000001111');
  expect(early).toMatchObject({ exitCode: 1, out: expect.stringContaining('It is not an orphan now.') });
  expect(await logs()).toEqual(['00000000-0000-4000-8000-000000001111.log']);
  await it.server.close();
  const stopped = await run('gc');
  expect(stopped).toMatchObject({ exitCode: 1, err: expect.stringContaining('Is "waterbear serve" running there?') });
});
