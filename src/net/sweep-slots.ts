// Slots of an instance that stand on this host, and their removal. Everything is found by name, nothing is remembered.
import { readdirSync } from 'node:fs';
import { closeHost } from './host-network.ts';
import { removeSlots, slotNames } from './make-slot.ts';

/** What one process removes; a host full of them takes several. */
const atOnce = 16;

/** Indices of which there is a namespace or a link, whole or not. */
export function slotsOnHost(instance: string): number[] {
  const found = [...suffixes('/run/netns', `wb-${instance}-`), ...suffixes('/sys/class/net', `wb${instance}-`)];
  return [...new Set(found.map(Number))].sort((a, b) => a - b);
}

/** Removes slots, a few at a time. Resolves with those that are still there; does not reject for them. */
export async function sweep(instance: string, indices: readonly number[]): Promise<number[]> {
  for (let i = 0; i < indices.length; i += atOnce) {
    const some = indices.slice(i, i + atOnce).map((index) => slotNames(instance, index));
    // Whatever went wrong: what counts is what is left.
    await removeSlots(some).catch(() => {});
  }
  const standing = new Set(slotsOnHost(instance));
  return indices.filter((index) => standing.has(index));
}

/** Removes all slots, the table and the reserved range of `instance`. Returns how many slots there were. */
export async function sweepSlots(instance: string): Promise<number> {
  const indices = slotsOnHost(instance);
  await sweep(instance, indices);
  await closeHost(instance);
  return indices.length;
}

function suffixes(directory: string, prefix: string): string[] {
  try {
    const names = readdirSync(directory).filter((name) => name.startsWith(prefix));
    return names.map((name) => name.slice(prefix.length)).filter((suffix) => /^(0|[1-9]\d{0,4})$/.test(suffix));
  } catch {
    return [];
  }
}
