// Everything on this host that is ours, and what uses it: from its files, its network and its processes, not from memory alone.
import { basename, join } from 'node:path';
import { graceMs, type HostThing } from '../../contract/inventory.ts';
import type { SweptVm } from '../../vmm/driver.ts';
import { isId } from '../names.ts';
import { asideThings, buildThings } from './build-things.ts';
import { thingAt, thingsIn } from './measure.ts';
import { inUse, microvmThings } from './microvm-things.ts';
import { type InventorySources, runsInUse } from './sources.ts';

export async function takeInventory(sources: InventorySources): Promise<HostThing[]> {
  return [
    ...(await microvmThings(sources)),
    ...(await buildThings(sources)),
    ...(await asideThings(sources)),
    ...slotThings(sources),
    ...(await vmmThings(sources)),
  ];
}

const useOfSlot = { ready: 'prepared for the next MicroVM', used: 'a VM is wired to it', left: undefined } as const;

function slotThings({ slots, fileTime }: InventorySources): HostThing[] {
  if (!slots) return [];
  return [...slots.list()].map(([index, { namespace: where, use, madeMs }]) => {
    const ageMs = Math.max(0, Math.round(fileTime() - madeMs));
    return { kind: 'slot', id: `slot:${index}`, where, bytes: 0, ageMs, ...inUse(useOfSlot[use]) };
  });
}

const isOwn = ({ runDirectory }: SweptVm): boolean => isId(basename(runDirectory));

/** Beside those that belong to something: what the driver's own sweep would end, and directories in which nothing was started yet. */
async function vmmThings(sources: InventorySources): Promise<HostThing[]> {
  const { driver, layout } = sources;
  const runs = runsInUse(sources);
  // What leads elsewhere is none of ours, whoever says so.
  const swept = (await driver.sweep(layout.run, runs, { dryRun: true })).filter(isOwn);
  const left = new Set(swept.map(({ runDirectory }) => basename(runDirectory)));
  const directories = await thingsIn(sources, layout.run, (name) => {
    if (name === basename(layout.journal) || left.has(name) || !isId(name)) return undefined;
    return { kind: 'vmm', ...inUse(runs.has(join(layout.run, name)) ? 'its VM runs' : undefined) };
  });
  const vms = swept.map(async ({ runDirectory, pid }) => {
    const name = basename(runDirectory);
    const found = await thingAt(sources, 'vmm', name, runDirectory);
    const where = pid === undefined ? runDirectory : `${runDirectory} (process ${pid})`;
    // Without a directory there is nothing to tell its age by. But the driver knows that it is not being started.
    return { ...(found ?? { kind: 'vmm' as const, id: `vmm:${name}`, bytes: 0, ageMs: graceMs }), where };
  });
  return [...directories, ...(await Promise.all(vms))];
}
