// Twenty kills of the server on real VMs at moments that a seed decides; `npm run chaos` does the same for as long as one likes.
import { expect, test } from 'vitest';
import { actKinds } from '../chaos/plan.ts';
import { type ChaosOptions, runChaos } from '../chaos/run-chaos.ts';

const options: ChaosOptions = {
  ...{ seed: 42, kills: 20, vms: 5, target: 'server', lostVms: 'end', vmBuildEvery: 0 },
  say: (line) => void process.stderr.write(`${line}\n`),
};

test('a server that is killed at twenty moments loses nothing and leaves nothing', async () => {
  const report = await runChaos(options);
  expect(report.findings, report.repeat).toEqual([]);
  expect(report).toMatchObject({ kills: 20, lost: 0, leaked: 0, broken: 0 });
  const met = actKinds.reduce((sum, kind) => sum + report.acts[kind], 0);
  expect(met).toBeGreaterThanOrEqual(10);
}, 600_000);
