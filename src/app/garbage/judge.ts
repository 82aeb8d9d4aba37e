// Which things of a host nobody owns, and what reaping them does. What the host itself needs is never one of them.
import { graceMs, type HostThing, type ThingKind } from '../../contract/inventory.ts';
import type { Expected } from '../../store/survey.ts';
import type { Orphan } from './orphan.ts';

/** What the rows say, and which MicroVMs they know beside those that live. */
export interface Books extends Expected {
  known: ReadonlySet<string>;
}

type Verdict = Pick<Orphan, 'why' | 'cleaning'> & { holdsState?: boolean };

const removed = 'It is removed.';

const judges: Record<ThingKind, (thing: HostThing, books: Books) => Verdict | undefined> = {
  microvm({ microvmId = '' }, { live, known }) {
    if (live.has(microvmId)) return undefined;
    const cleaning = 'Its VM, if there is one, is ended, and its files are removed.';
    if (known.has(microvmId)) return { why: 'Its MicroVM has ended.', cleaning };
    return { why: 'No record knows this MicroVM.', cleaning, holdsState: true };
  },
  snapshot: () => ({ why: 'A newer snapshot has taken its place.', cleaning: removed }),
  'disk-layer': () => ({ why: 'The newest snapshot does not need it.', cleaning: removed }),
  image({ buildId = '' }, { builds }) {
    const build = builds.get(buildId);
    if (!build) return { why: 'No version of an image knows these files.', cleaning: removed, holdsState: true };
    return build.state === 'FAILED' ? { why: 'Its build failed.', cleaning: removed } : undefined;
  },
  'build-work': () => ({ why: 'Its build is not under way.', cleaning: removed }),
  archive: ({ buildId = '' }, { builds }) =>
    isOpen(builds.get(buildId)) ? undefined : { why: 'Its build is not under way.', cleaning: removed },
  'build-log': ({ buildId = '' }, { builds }) =>
    builds.has(buildId) ? undefined : { why: 'Its build is gone.', cleaning: removed },
  // A cache is kept for the next build, memory for the next launch: to be collected, but nobody's fault.
  'build-cache': () => undefined,
  'loaded-image': () => undefined,
  aside: () => ({ why: 'It was being written or removed when a server ended.', cleaning: removed }),
  slot: () => ({ why: 'No VM uses this network slot.', cleaning: 'Its namespace and its link are removed.' }),
  vmm: () => ({ why: 'No MicroVM owns it.', cleaning: 'Its process is ended; its cgroup and its files are removed.' }),
};

export function judge(thing: HostThing, books: Books): Orphan | undefined {
  if (thing.use !== undefined || thing.ageMs < graceMs) return undefined;
  const verdict = judges[thing.kind](thing, books);
  if (!verdict) return undefined;
  const { use: _, ...facts } = thing;
  return { holdsState: false, ...facts, ...verdict };
}

export const isOpen = (build: { endedAtMs: number | null } | undefined): boolean =>
  build !== undefined && build.endedAtMs === null;
