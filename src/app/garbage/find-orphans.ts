// The inventory of both sides. A record without its thing is an orphan like a thing without its record.
import { bytesWith, graceMs, type HostThing } from '../../contract/inventory.ts';
import { type ExpectedBuild, knownMicrovms, readExpected } from '../../store/survey.ts';
import type { MicrovmRow } from '../../store/tables.ts';
import type { AppContext } from '../context.ts';
import { type Books, judge } from './judge.ts';
import type { Orphan } from './orphan.ts';

export interface Survey {
  things: HostThing[];
  books: Books;
  /** Largest first. */
  orphans: Orphan[];
}

export async function survey(app: AppContext): Promise<Survey> {
  // What is launched, built or ended meanwhile is young, or under way, and left out either way.
  const onHost = new Set(app.node.list().map(({ microvmId }) => microvmId));
  const things = await app.node.inventory();
  const expected = await readExpected(app.db);
  const ids = things.flatMap(({ kind, microvmId }) => (kind === 'microvm' && microvmId ? [microvmId] : []));
  const books = { ...expected, known: await knownMicrovms(app.db, ids) };
  const unowned = things.flatMap((thing) => judge(thing, books) ?? []);
  const apart = new Set(unowned.map(({ id }) => id));
  const bytesOf = new Map(
    things.filter(({ id }) => apart.has(id)).map((thing) => [thing.id, bytesWith(thing, things, apart)]),
  );
  const orphans = [
    ...unowned.map((orphan) => ({ ...orphan, bytes: bytesOf.get(orphan.id) ?? orphan.bytes })),
    ...recordsWithoutMicrovm(app, books, onHost),
    ...recordsWithoutFiles(app, books, new Set(ids)),
    ...versionsWithoutFiles(app, books, things),
  ];
  return { things, books, orphans: orphans.sort((a, b) => b.bytes - a.bytes || a.id.localeCompare(b.id)) };
}

/** Rows that promise a MicroVM which the host does not have, before and after the look. */
function recordsWithoutMicrovm(app: AppContext, { live }: Books, before: ReadonlySet<string>): Orphan[] {
  const nowMs = app.clock.steady();
  const after = new Set(app.node.list().map(({ microvmId }) => microvmId));
  return [...live.values()].flatMap((row) => {
    const vm = app.index.get(row.microvmId);
    const isUnderWay =
      row.state === 'PENDING' || row.state === 'TERMINATING' || vm?.worker !== undefined || vm?.isRecovering === true;
    if (before.has(row.microvmId) || after.has(row.microvmId) || isUnderWay) return [];
    const ageMs = Math.max(0, nowMs - changedAtMs(row));
    return ageMs < graceMs ? [] : [recordOrphan(row, ageMs)];
  });
}

/** A host that holds one asleep from what it remembers may have lost the directory: then nothing can wake it. */
function recordsWithoutFiles(app: AppContext, { live }: Books, present: ReadonlySet<string>): Orphan[] {
  return [...live.values()].flatMap((row) => {
    const ageMs = Math.max(0, app.clock.steady() - changedAtMs(row));
    return present.has(row.microvmId) || ageMs < graceMs || !sleepsAtRest(app, row) ? [] : [recordOrphan(row, ageMs)];
  });
}

/** Nothing is under way with it, nor has been since this row was read. */
export function sleepsAtRest({ index, node }: AppContext, row: MicrovmRow): boolean {
  const vm = index.get(row.microvmId);
  if (!vm || vm.worker || vm.isRecovering || row.state !== 'SUSPENDED' || row.wish !== 'SUSPENDED') return false;
  return vm.row.generation === row.generation && node.find(row.microvmId)?.state === 'asleep';
}

const changedAtMs = ({ startedAtMs, launchedAtMs, suspendedAtMs }: MicrovmRow): number =>
  Math.max(startedAtMs, launchedAtMs ?? 0, suspendedAtMs ?? 0);

function recordOrphan({ microvmId, account, state }: MicrovmRow, ageMs: number): Orphan {
  return {
    ...{ id: `record:${microvmId}`, kind: 'record', where: microvmId, bytes: 0, ageMs, microvmId, account },
    why: `Its record says ${state}, and its host does not have it.`,
    cleaning: 'The MicroVM is TERMINATED with that reason.',
    holdsState: true,
  };
}

/** Versions that could be launched by their rows. An image that is being built is not SUCCESSFUL yet. */
function versionsWithoutFiles(app: AppContext, { builds }: Books, things: readonly HostThing[]): Orphan[] {
  const present = new Set(things.flatMap(({ kind, buildId }) => (kind === 'image' ? [buildId] : [])));
  const ofVersion = (build: ExpectedBuild): string => `${build.imageArn}@${build.version}`;
  const promised = [...builds.values()].filter(
    ({ state, versionState, versionStatus }) =>
      state === 'SUCCESSFUL' && versionState === 'SUCCESSFUL' && versionStatus === 'ACTIVE',
  );
  return promised.flatMap((build): Orphan[] => {
    const { buildId, account } = build;
    const ageMs = app.clock.now() - (build.endedAtMs ?? app.clock.now());
    if (present.has(buildId) || ageMs < graceMs) return [];
    return [
      {
        ...{ id: `version:${ofVersion(build)}`, kind: 'version', where: ofVersion(build), bytes: 0, ageMs },
        ...{ buildId, account },
        why: 'The host does not have its files.',
        cleaning: 'The version becomes INACTIVE, so that launches take an older one. Build the image again.',
        holdsState: true,
      },
    ];
  });
}
