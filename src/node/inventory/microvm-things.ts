// Directories of MicroVMs, and what is in those of them that the host holds: snapshots, layers, and what was being written.
import { join } from 'node:path';
import type { HostThing } from '../../contract/inventory.ts';
import { isLayerName, layersOf } from '../../vmm/snapshot-layers.ts';
import { vmPaths } from '../layout.ts';
import { isId, isRemoved, isUnfinished } from '../names.ts';
import { newestGeneration } from '../vm-record.ts';
import { namesIn, thingAt, thingsIn } from './measure.ts';
import type { InventorySources } from './sources.ts';

export async function microvmThings(sources: InventorySources): Promise<HostThing[]> {
  const { layout } = sources;
  const things: HostThing[] = [];
  for (const name of await namesIn(layout.vms)) {
    const path = join(layout.vms, name);
    if (isRemoved(name)) things.push(...present(await thingAt(sources, 'aside', `vms/${name}`, path)));
    else if (isId(name)) things.push(...(await oneMicrovm(sources, name)));
  }
  return things;
}

async function oneMicrovm(sources: InventorySources, microvmId: string): Promise<HostThing[]> {
  const { directory } = vmPaths(sources.layout, microvmId);
  const held = sources.held().get(microvmId);
  const [whole] = present(await thingAt(sources, 'microvm', microvmId, directory, { microvmId }));
  if (!whole) return [];
  if (!held) return [whole];
  const newest = (): Promise<number> => newestGeneration(sources.layout, microvmId);
  const before = await newest();
  const parts = await partsOf(sources, microvmId, held.atRest);
  const bytes = whole.bytes - parts.reduce((sum, part) => sum + part.bytes, 0);
  // Between two looks it may have woken, slept or been merged.
  const isSame = before === (await newest()) && held.atRest === sources.held().get(microvmId)?.atRest;
  const certain = isSame ? parts : parts.map((part) => ({ ...part, use: 'its MicroVM changes' }));
  return [{ ...whole, bytes: Math.max(0, bytes) }, ...certain];
}

/** What is in its directory. Only of one at rest can anything be unneeded: then `atRest` must stay true meanwhile. */
export async function partsOf(sources: InventorySources, microvmId: string, atRest: boolean): Promise<HostThing[]> {
  const { directory, disks } = vmPaths(sources.layout, microvmId);
  const newest = await newestGeneration(sources.layout, microvmId);
  const named = newest > 0 ? await layersOf(join(directory, `sleep-${newest}`)) : undefined;
  const changing = atRest ? undefined : 'its MicroVM is not at rest';
  const snapshots = await thingsIn(sources, directory, (name) => {
    const generation = Number(/^sleep-(\d{1,9})$/.exec(name)?.[1] ?? -1);
    const common = { microvmId, name: `${microvmId}/${name}` };
    if (isUnfinished(name)) return { kind: 'aside', ...common, ...inUse(changing) };
    if (generation < 0) return undefined;
    return { kind: 'snapshot', ...common, ...inUse(generation === newest ? 'its MicroVM wakes from it' : changing) };
  });
  const layers = await thingsIn(sources, disks, (name) => {
    if (!isLayerName(name)) return undefined;
    const use = !named || named.has(name) ? 'the newest snapshot needs it' : changing;
    return { kind: 'disk-layer', microvmId, name: `${microvmId}/${name}`, ...inUse(use) };
  });
  return [...snapshots, ...layers];
}

export const inUse = (use: string | undefined): { use?: string } => (use === undefined ? {} : { use });

const present = (thing: HostThing | undefined): HostThing[] => (thing ? [thing] : []);
