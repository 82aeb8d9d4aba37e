// Everything on this host that is ours, and what uses it: from its files, its network and its processes, not from memory alone.
import { stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { HostThing } from '../../contract/inventory.ts';
import { asideThings, buildThings } from './build-things.ts';
import { thingAt, thingsIn } from './measure.ts';
import { inUse, microvmThings } from './microvm-things.ts';
import { type InventorySources, runsInUse } from './sources.ts';

export async function takeInventory(sources: InventorySources): Promise<HostThing[]> {
  return [
    ...(await microvmThings(sources)),
    ...(await buildThings(sources)),
    ...(await asideThings(sources)),
    ...(await slotThings(sources)),
    ...(await vmmThings(sources)),
  ];
}

const useOfSlot = { ready: 'prepared for the next MicroVM', used: 'a VM is wired to it', left: undefined } as const;

async function slotThings({ slots, fileTime }: InventorySources): Promise<HostThing[]> {
  if (!slots) return [];
  const all = [...slots.list()].map(async ([index, { namespace, use }]): Promise<HostThing> => {
    const made = await stat(`/run/netns/${namespace}`).catch(() => undefined);
    const ageMs = made ? Math.max(0, Math.round(fileTime() - made.mtimeMs)) : 0;
    return { kind: 'slot', id: `slot:${index}`, where: namespace, bytes: 0, ageMs, ...inUse(useOfSlot[use]) };
  });
  return Promise.all(all);
}

/** Beside those that belong to something, what the driver's own sweep would end. */
async function vmmThings(sources: InventorySources): Promise<HostThing[]> {
  const { driver, layout } = sources;
  const runs = runsInUse(sources);
  const used = await thingsIn(sources, layout.run, (name) =>
    name !== 'journal' && runs.has(join(layout.run, name)) ? { kind: 'vmm', use: 'its VM runs' } : undefined,
  );
  const swept = (await driver.sweep(layout.run, runs, { dryRun: true })).map(async ({ runDirectory, pid }) => {
    const name = basename(runDirectory);
    const found = await thingAt(sources, 'vmm', name, runDirectory);
    const where = pid === undefined ? runDirectory : `${runDirectory} (process ${pid})`;
    return { ...(found ?? { kind: 'vmm' as const, id: `vmm:${name}`, bytes: 0, ageMs: 0 }), where };
  });
  return [...used, ...(await Promise.all(swept))];
}
