// Removes what a crashed server of the same instance left on this host. Everything is found by name, nothing is remembered.
import { readdirSync } from 'node:fs';
import { closeHost } from './host-network.ts';
import { removeSlots, slotNames } from './make-slot.ts';

/** Removes all slots, the table and the reserved range of `instance`. Returns how many slots there were. */
export async function sweepSlots(instance: string): Promise<number> {
  const indices = new Set([
    ...suffixes('/run/netns', `wb-${instance}-`),
    ...suffixes('/sys/class/net', `wb${instance}-`),
  ]);
  await removeSlots([...indices].map((index) => slotNames(instance, index)));
  await closeHost(instance);
  return indices.size;
}

function suffixes(directory: string, prefix: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => name.startsWith(prefix));
    return names.map((name) => name.slice(prefix.length)).filter((suffix) => /^\d{1,5}$/.test(suffix));
  } catch {
    return [];
  }
}
