// A new data directory from a backup. Everything is compared with its checksum before anything is made, and the copies again.
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, isFault } from '../lib/errors.ts';
import { isMissing } from '../lib/read-file.ts';
import { nodeLayout, vmPaths } from '../node/layout.ts';
import { newestGeneration } from '../node/vm-record.ts';
import { refuseNewerFile } from '../store/migrate.ts';
import { openStore } from '../store/open-store.ts';
import { settleRestored } from '../store/restored-rows.ts';
import { readSnapshotRecord } from '../vmm/snapshot-record.ts';
import { type BackupFile, type BackupManifest, readBackupManifest } from './backup-manifest.ts';
import { Copying, hashFile } from './copying.ts';
import { sleeperIds } from './kept-files.ts';
import { makeWhole, requirePlace } from './new-directory.ts';

const database = 'waterbear.db';

export interface RestoreOrder {
  backup: string;
  /** Missing or empty, in a directory that exists, outside of the backup. */
  dataDirectory: string;
  nowMs: number;
  /** Bytes so far and in all: each file is read, copied, and read again. */
  onProgress: (done: number, total: number) => void;
  /** Ends it; nothing is left. */
  signal: AbortSignal;
}

export interface RestoreReport {
  createdMs: number;
  files: number;
  bytes: number;
  /** MicroVMs that sleep in the new directory, and those that could not be kept. */
  asleep: string[];
  ended: string[];
}

/**
 * Rejects with `backup_damaged` naming the file, `newer_data`, `not_found`, `conflict`, `missing_right`, `capacity_exhausted`, `disk_full`, or `aborted`;
 * nothing is left then.
 */
export async function restoreBackup(order: RestoreOrder): Promise<RestoreReport> {
  const { backup, dataDirectory, nowMs, signal } = order;
  const manifest = await readBackupManifest(backup);
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  await requirePlace({ path: dataDirectory, source: backup, bytes });
  let done = 0;
  const onBytes = (read: number): void => {
    if (signal.aborted) throw new Fault('aborted', { what: 'The restore' });
    done += read;
    order.onProgress(done, 2 * bytes);
  };
  await verifyAll(backup, manifest, onBytes);
  refuseNewerFile(join(backup, database));
  return makeWhole(dataDirectory, async (aside) => {
    const copying = new Copying(backup, aside, onBytes);
    for (const file of manifest.files) {
      const copied = await copying.copy(file.path);
      if (copied.sha256 !== file.sha256) throw damaged(backup, file, 'its copy differs from it');
    }
    await copying.sync();
    const settled = await settle(aside, { backupMs: manifest.createdMs, nowMs });
    return { createdMs: manifest.createdMs, files: manifest.files.length, bytes, ...settled };
  });
}

const damaged = (backup: string, { path }: BackupFile, why: string, cause?: unknown): Fault =>
  new Fault('backup_damaged', { file: join(backup, path), why }, cause);

async function verifyAll(backup: string, { files }: BackupManifest, onBytes: (bytes: number) => void): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(1 << 20);
  for (const file of files) {
    const path = join(backup, file.path);
    // Reading a pipe in its place would never end.
    if ((await lstat(path).catch(() => undefined))?.isFile() === false) throw damaged(backup, file, 'it is no file');
    const found = await hashFile(path, buffer, onBytes).catch((error: unknown) => {
      if (isFault(error, 'aborted')) throw error;
      throw damaged(backup, file, isMissing(error) ? 'it is missing' : 'it cannot be read', error);
    });
    if (found.sha256 !== file.sha256) throw damaged(backup, file, 'its SHA-256 differs from the list');
  }
}

async function settle(directory: string, times: { backupMs: number; nowMs: number }) {
  const layout = nodeLayout(directory, '');
  const snapshots = new Map<string, number>();
  for (const microvmId of await sleeperIds(directory)) {
    const generation = await newestGeneration(layout, microvmId);
    if (generation === 0) continue;
    const snapshot = vmPaths(layout, microvmId).snapshot(generation);
    const { createdMs } = await readSnapshotRecord(snapshot);
    snapshots.set(microvmId, createdMs ?? times.backupMs);
  }
  // Brings the tables up to date, too.
  await using store = await openStore(join(directory, database));
  return await settleRestored(store.db, snapshots, times);
}
