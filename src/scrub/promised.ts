// What rows promise and no directory holds: images that may be launched, MicroVMs that sleep.
import { join } from 'node:path';
import { exists } from '../lib/read-file.ts';
import { type NodeLayout, vmPaths } from '../node/layout.ts';
import { newestGeneration } from '../node/vm-record.ts';
import { readPromises } from '../store/row-promises.ts';
import type { Found } from './compare.ts';

/** Of a server's own database. Rejects when it, or the disk, cannot say. */
export async function scrubPromises(layout: NodeLayout): Promise<Found[]> {
  const missing = await missingNow(layout);
  if (missing.size === 0) return [];
  // What was deleted, ended or woken meanwhile is promised no more.
  const still = await missingNow(layout);
  return [...missing.values()].filter(({ file }) => still.has(file));
}

async function missingNow(layout: NodeLayout): Promise<Map<string, Found>> {
  const rows = readPromises(join(layout.data, 'waterbear.db'));
  const missing = new Map<string, Found>();
  for (const { buildId } of rows.images) {
    const file = join(layout.images, buildId);
    if (!(await exists(file))) missing.set(file, { file, why: 'it is missing', buildId });
  }
  for (const { microvmId, state } of rows.microvms) {
    // What cannot be looked into is found by whoever reads it.
    if (state !== 'SUSPENDED' || (await newestGeneration(layout, microvmId).catch(() => 1)) > 0) continue;
    const file = vmPaths(layout, microvmId).directory;
    const why = (await exists(file)) ? 'there is no snapshot in it' : 'it is missing';
    missing.set(file, { file, why, microvmId });
  }
  return missing;
}
