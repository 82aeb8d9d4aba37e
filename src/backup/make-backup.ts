// A backup of a data directory, with or without a server that works on it: the database first, then the files that its rows speak of. What
// changed in between is taken again. The list of files is written last, and only a whole backup gets its name.
import { join } from 'node:path';
import type { MicrovmState } from '../contract/states.ts';
import { Fault } from '../lib/errors.ts';
import { exists } from '../lib/read-file.ts';
import { copyDatabase } from '../store/copy-database.ts';
import type { LedgerHead } from '../store/ledger.ts';
import { refuseNewerFile } from '../store/migrate.ts';
import { readPromises } from '../store/row-promises.ts';
import { writeBackupManifest } from './backup-manifest.ts';
import { Copying } from './copying.ts';
import { refuseCopies } from './data-directory.ts';
import {
  copyImage,
  copyObjects,
  copyPlainFiles,
  copySleeper,
  dropGone,
  imageIds,
  keptBytes,
  sleeperIds,
} from './kept-files.ts';
import { makeWhole, requirePlace } from './new-directory.ts';

const rounds = 3;
const database = 'waterbear.db';

export interface BackupOrder {
  dataDirectory: string;
  /** Missing or empty, in a directory that exists, outside of the data directory. */
  target: string;
  /** Of Waterbear. */
  version: string;
  now: () => number;
  /** Bytes so far and, about, in all. */
  onProgress: (done: number, total: number) => void;
  /** Ends it; nothing is left. */
  signal: AbortSignal;
}

export interface BackupReport {
  files: number;
  bytes: number;
  /** MicroVMs that are in it as they are now. */
  asleep: number;
  /** Those that are in it as they were at their last sleep, and when that was. */
  old: { microvmId: string; state: MicrovmState; takenMs: number }[];
  /** Those that have no snapshot: a restore ends them. */
  missing: { microvmId: string; state: MicrovmState }[];
  /** What could not be taken because it is damaged; sentences. */
  leftOut: string[];
}

/**
 * Rejects with `conflict` when the target cannot be used or the source is no data directory, `missing_right`, `capacity_exhausted`, `disk_full`, `database_damaged`,
 * `newer_data`, `not_found`, or `aborted`; nothing is left then.
 */
export async function makeBackup(order: BackupOrder): Promise<BackupReport> {
  const { dataDirectory: data, target, version, signal } = order;
  if (!(await exists(join(data, database)))) {
    throw new Fault('not_found', { what: `There is no ${database} in ${data}. Name a data directory with --data.` });
  }
  await refuseCopies(data);
  refuseNewerFile(join(data, database));
  const total = await keptBytes(data);
  await requirePlace({ path: target, source: data, bytes: total });
  return makeWhole(target, async (aside) => {
    let done = 0;
    const copying = new Copying(data, aside, (bytes) => {
      if (signal.aborted) throw new Fault('aborted', { what: 'The backup' });
      done += bytes;
      order.onProgress(Math.min(done, total), total);
    });
    const { ledger, createdMs, ...report } = await takeAll(copying, order, aside);
    await copying.sync();
    const files = [...copying.files.values()];
    await writeBackupManifest(aside, { version, createdMs, ledger, files });
    return { ...report, files: files.length, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) };
  });
}

interface Taken extends Omit<BackupReport, 'files' | 'bytes'> {
  ledger: LedgerHead;
  /** Until then everything was as the rows say. */
  createdMs: number;
}

async function takeAll(copying: Copying, { dataDirectory: data, now }: BackupOrder, aside: string): Promise<Taken> {
  const snapshots = new Map<string, number>();
  for (let round = 1; ; round++) {
    const leftOut: string[] = [];
    const note = (what: string): void => void leftOut.push(what);
    await copying.drop(database);
    const ledger = await copyDatabase(join(data, database), join(aside, database));
    const createdMs = now();
    await copying.made(database);
    await copyPlainFiles(copying, data, note);
    const images = new Set<string>();
    for (const buildId of await imageIds(data)) if (await copyImage(copying, data, buildId, note)) images.add(buildId);
    for (const microvmId of await sleeperIds(data)) {
      const takenMs = await copySleeper(copying, data, microvmId, note);
      if (takenMs === undefined) snapshots.delete(microvmId);
      else snapshots.set(microvmId, takenMs);
    }
    await dropGone(copying, data);
    await copyObjects(copying, data, note);
    const rows = readPromises(join(aside, database));
    const noImage = rows.images.filter(({ buildId }) => !images.has(buildId));
    const asleep = rows.microvms.filter(({ state, microvmId }) => state === 'SUSPENDED' && snapshots.has(microvmId));
    const lost = rows.microvms.filter(({ state, microvmId }) => state === 'SUSPENDED' && !snapshots.has(microvmId));
    // A row that promises what is not there: it was deleted, ended or woken for the first time meanwhile. Newer rows know.
    if (noImage.length + lost.length > 0 && round < rounds) continue;
    for (const { buildId, imageArn, version } of noImage) {
      if (!leftOut.some((what) => what.includes(buildId))) note(`Version ${version} of ${imageArn} has no files.`);
    }
    const others = rows.microvms.filter(({ state }) => state !== 'SUSPENDED');
    const old = others.flatMap(({ microvmId, state }) => {
      const takenMs = snapshots.get(microvmId);
      return takenMs === undefined ? [] : [{ microvmId, state, takenMs }];
    });
    const missing = [...others.filter(({ microvmId }) => !snapshots.has(microvmId)), ...lost];
    return { ledger, createdMs, asleep: asleep.length, old, missing, leftOut };
  }
}
