// Removes what nothing on this host needs. Each thing is looked at anew first, and what the host needs is refused whoever asks.
import { basename, join } from 'node:path';
import { bytesWith, type Discarded, type HostThing } from '../../contract/inventory.ts';
import { remove } from '../../lib/durable-file.ts';
import { describe, Fault } from '../../lib/errors.ts';
import { takeInventory } from './inventory.ts';
import { partsOf } from './microvm-things.ts';
import { type InventorySources, runsInUse } from './sources.ts';

/** What only the host itself can do. */
export interface DiscardActs {
  /** Ends a MicroVM, if there is one, and removes its files. */
  endMicrovm(microvmId: string): Promise<void>;
  removeImage(buildId: string): Promise<void>;
  /** Runs `work` while the MicroVM sleeps and nothing else is done with it. Rejects with `conflict` when it does not. */
  whileAtRest(microvmId: string, work: () => Promise<void>): Promise<void>;
}

export async function discard(
  sources: InventorySources,
  acts: DiscardActs,
  ids: readonly string[],
): Promise<Discarded[]> {
  const all = await takeInventory(sources);
  const things = new Map(all.map((thing) => [thing.id, thing]));
  const apart = new Set(ids);
  const done: Discarded[] = [];
  for (const id of ids) {
    const thing = things.get(id);
    // What is gone already, with something else perhaps, is as it should be.
    const why = thing ? await discardOne(sources, acts, thing) : undefined;
    done.push({
      id,
      done: why === undefined,
      ...(why === undefined ? {} : { why }),
      bytes: thing ? bytesWith(thing, all, apart) : 0,
    });
  }
  return done;
}

/** Resolves with a sentence when it was not done. */
async function discardOne(sources: InventorySources, acts: DiscardActs, thing: HostThing): Promise<string | undefined> {
  if (thing.use !== undefined) return `In use: ${thing.use}.`;
  try {
    return await discardKnown(sources, acts, thing);
  } catch (error) {
    return describe(error);
  }
}

async function discardKnown(
  sources: InventorySources,
  acts: DiscardActs,
  { kind, where, microvmId = '', buildId = '', id }: HostThing,
): Promise<string | undefined> {
  const removeFiles = (): Promise<void> => remove(where);
  switch (kind) {
    case 'microvm':
      await acts.endMicrovm(microvmId);
      return undefined;
    case 'snapshot':
    case 'disk-layer':
      await acts.whileAtRest(microvmId, () => removeUnneeded(sources, microvmId, id, removeFiles));
      return undefined;
    case 'image':
      await acts.removeImage(buildId);
      return undefined;
    case 'loaded-image':
      sources.driver.forget(where);
      return undefined;
    case 'slot':
      return (await sources.slots?.discard(Number(id.split(':')[1]))) ? undefined : 'It could not be removed.';
    case 'vmm':
      await endVmm(sources, id.slice('vmm:'.length));
      return undefined;
    case 'aside':
      if (microvmId === '') await removeFiles();
      else await acts.whileAtRest(microvmId, removeFiles);
      return undefined;
    default:
      await removeFiles();
      return undefined;
  }
}

/** Now that nothing changes, the question is put once more: a layer's name may have been given to a new one. */
async function removeUnneeded(
  sources: InventorySources,
  microvmId: string,
  id: string,
  removeFiles: () => Promise<void>,
): Promise<void> {
  const now = (await partsOf(sources, microvmId, true)).find((part) => part.id === id);
  if (now?.use !== undefined) throw new Fault('conflict', { what: `In use: ${now.use}.` });
  await removeFiles();
}

/** By the driver's own sweep, which looks whose process it is; everything else is kept. */
async function endVmm(sources: InventorySources, name: string): Promise<void> {
  const { driver, layout } = sources;
  const leftover = await driver.sweep(layout.run, runsInUse(sources), { dryRun: true });
  const others = leftover.map(({ runDirectory }) => runDirectory).filter((other) => basename(other) !== name);
  await driver.sweep(layout.run, new Set([...runsInUse(sources), ...others]));
  // The driver leaves alone what has no record of a VM: nothing was started there.
  await remove(join(layout.run, name));
}
