// How large and how old things on a disk are.
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostThing, ThingKind } from '../../contract/inventory.ts';
import { diskUsage } from '../../vmm/qemu/disk-usage.ts';
import type { InventorySources } from './sources.ts';

/** Undefined when it is gone. */
export async function thingAt(
  { fileTime }: Pick<InventorySources, 'fileTime'>,
  kind: ThingKind,
  name: string,
  path: string,
  more: Partial<HostThing> = {},
): Promise<HostThing | undefined> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return undefined;
  const bytes = await diskUsage(path);
  // A clock that was set back makes nothing older; a rename is a change, too.
  const ageMs = Math.max(0, Math.round(fileTime() - Math.max(found.mtimeMs, found.ctimeMs)));
  return { kind, id: `${kind}:${name}`, where: path, bytes, ageMs, ...more };
}

/** Empty when there is no such directory. Rejects when it cannot be read: what is not seen must not count as missing. */
export const namesIn = (directory: string): Promise<string[]> =>
  readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });

/** One thing for each name that `kindOf` knows. */
export async function thingsIn(
  sources: InventorySources,
  directory: string,
  kindOf: (name: string) => (Partial<HostThing> & Pick<HostThing, 'kind'> & { name?: string }) | undefined,
): Promise<HostThing[]> {
  const found: (HostThing | undefined)[] = [];
  // One after the other: whoever asks for an inventory is in no hurry, and the disk has others to serve.
  for (const name of await namesIn(directory)) {
    const known = kindOf(name);
    if (!known) continue;
    const { kind, name: short = name, ...more } = known;
    found.push(await thingAt(sources, kind, short, join(directory, name), more));
  }
  return found.filter((thing) => thing !== undefined);
}
