// While the server is dead its guests go on; who asks first when it is back gets an answer.
import { expect, test } from 'vitest';
import { pause } from '../../src/lib/deadline.ts';
import { launch } from '../chaos/acts.ts';
import { Findings } from '../chaos/findings.ts';
import { addMark, readState } from '../chaos/guest.ts';
import { checkLeaks, checkRecovery } from '../chaos/recovery-check.ts';
import { startServer } from '../chaos/round.ts';
import { finish, withServer } from '../chaos/run-chaos.ts';
import { tickMs } from '../chaos/ticks.ts';

const deadMs = 10_000;

test('guests tick on for ten seconds without a server, and the first requests after its start are answered', async () => {
  const options = { seed: 1, kills: 1, vms: 2, target: 'server', lostVms: 'end', vmBuildEvery: 0 } as const;
  const ticks: number[] = [];
  const findings = new Findings();
  await withServer({ ...options, say: () => {} }, findings, async (tools) => {
    const { world, host } = tools;
    const vms = [world.newVm(0), world.newVm(1)];
    await Promise.all(vms.map((vm) => launch(world, vm)));
    const read = (vm: (typeof vms)[number]) => readState(world.running.ca, vm);
    const before = await Promise.all(vms.map(read));
    for (const vm of vms) await addMark(world.running.ca, vm, world.nextMark());
    await world.running.kill('SIGKILL');
    await pause(deadMs);
    await startServer(tools);
    await checkRecovery(world, host);
    const after = await Promise.all(vms.map(read));
    ticks.push(...after.map((state, i) => state.ticks - (before[i]?.ticks ?? 0)));
    await checkLeaks(world);
    await finish(tools);
  });
  expect(findings.all).toEqual([]);
  expect(ticks).toHaveLength(2);
  // A busy machine gives less than all of them.
  for (const count of ticks) expect(count).toBeGreaterThan(deadMs / tickMs / 2);
});
