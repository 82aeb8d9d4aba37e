// What else may go wrong on real VMs, a few kills of each: VMMs that die, and what happens beside the server's own death.
import { expect, test } from 'vitest';
import { type ChaosOptions, runChaos } from '../chaos/run-chaos.ts';

const base: ChaosOptions = {
  ...{ seed: 7, kills: 6, vms: 4, target: 'server', lostVms: 'end', vmBuildEvery: 0 },
  say: (line) => void process.stderr.write(`${line}\n`),
};

const cases: Record<string, Partial<ChaosOptions>> = {
  'VMMs die and their MicroVMs end': { target: 'vmm', kills: 10 },
  'VMMs die and their MicroVMs go back to their last sleep': { target: 'vmm', kills: 10, lostVms: 'restore' },
  'server, VMMs or both die': { target: 'both' },
  'server, VMMs or both die, and what ran goes back to its last sleep': { target: 'both', lostVms: 'restore' },
  'only the data directory is left': { fault: 'reboot' },
  'only the data directory is left, and what ran goes back to its last sleep': { fault: 'reboot', lostVms: 'restore' },
  'the disk is full': { fault: 'disk-full' },
  'writes fail': { fault: 'eio' },
  'the clock is set an hour forth and back': { fault: 'clock' },
  'builds in VMs': { kills: 12, vmBuildEvery: 1 },
};

for (const [name, more] of Object.entries(cases)) {
  test(`nothing is lost and nothing leaks: ${name}`, async () => {
    const report = await runChaos({ ...base, ...more });
    expect(report.findings, report.repeat).toEqual([]);
    expect(report).toMatchObject({ kills: more.kills ?? base.kills, lost: 0, leaked: 0, broken: 0 });
  });
}
