// What exists on a host because MicroVMs and builds have been there. Bytes are those that a thing really occupies; ages are of its last change.

export type ThingKind =
  /** The directory of a MicroVM, without the snapshots and layers that are listed by themselves. */
  | 'microvm'
  /** One generation of a MicroVM that slept. */
  | 'snapshot'
  | 'disk-layer'
  | 'image'
  /** What a build works in. */
  | 'build-work'
  /** The zip that a build reads. */
  | 'archive'
  | 'build-log'
  /** Container layers of an account. */
  | 'build-cache'
  /** Memory of an image that is loaded although no VM runs from it. */
  | 'loaded-image'
  /** A file that was being written or removed. */
  | 'aside'
  /** A network slot. */
  | 'slot'
  /** The run directory of a VM, with its VMM and its cgroup where they are left. */
  | 'vmm';

/** What is younger may be something that is just being made or removed: it is no orphan. */
export const graceMs = 60_000;

export interface HostThing {
  kind: ThingKind;
  /** `KIND:NAME`; the same as long as it exists. */
  id: string;
  /** Path, or the name under which the system has it. */
  where: string;
  bytes: number;
  ageMs: number;
  /** Whose it is, where the host can tell. */
  microvmId?: string;
  buildId?: string;
  account?: string;
  /** Why the host needs it, as the end of a sentence that begins with "in use: ". What has none is not needed by anything on this host. */
  use?: string;
}

/** What goes with `thing` beside those `apart`: with a MicroVM, whatever is listed by itself in its directory. Bytes. */
export function bytesWith(thing: HostThing, things: readonly HostThing[], apart: ReadonlySet<string>): number {
  if (thing.kind !== 'microvm') return thing.bytes;
  const parts = things.filter(
    ({ id, microvmId }) => id !== thing.id && microvmId === thing.microvmId && !apart.has(id),
  );
  return parts.reduce((sum, { bytes }) => sum + bytes, thing.bytes);
}

/** What became of a thing that was to be removed. */
export interface Discarded {
  id: string;
  done: boolean;
  /** A sentence when it was not. */
  why?: string;
  /** What it occupied. */
  bytes: number;
}
