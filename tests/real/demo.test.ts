// The demo as a newcomer starts it: the code interpreter, its five hooks, two VMs, sleep by policy and by request.
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';

test('the demo passes and says so in one line of JSON', async () => {
  const command = resolve(import.meta.dirname, '../../bin/waterbear');
  const { stdout } = await run(command, ['demo', '--accel', 'tcg', '--json'], { timeoutMs: 170_000 });
  const report = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as {
    ok: boolean;
    accelerator: string;
    microvms: unknown[];
  };
  expect(report).toMatchObject({ ok: true, accelerator: 'tcg' });
  expect(report.microvms).toHaveLength(2);
});
