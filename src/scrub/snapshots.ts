// Images and sleeping MicroVMs, as their manifests describe them. What vanishes or changes while it is read, because a MicroVM slept, was merged
// or ended meanwhile, is no damage: whether it is the same as before is asked again before anything is said.
import { join } from 'node:path';
import { isFault } from '../lib/errors.ts';
import { exists } from '../lib/read-file.ts';
import { type NodeLayout, vmPaths } from '../node/layout.ts';
import { newestGeneration, readRecord } from '../node/vm-record.ts';
import { manifestFile, readSnapshotRecord, type SnapshotRecord } from '../vmm/snapshot-record.ts';
import { compareFile, compareSealed, type Finding } from './compare.ts';
import type { Reading } from './reading.ts';

const attempts = 3;

export async function scrubImage(reading: Reading, layout: NodeLayout, buildId: string): Promise<Finding[]> {
  const directory = join(layout.images, buildId);
  const found = [
    ...(await scrubFiles(reading, directory)).found,
    await compareSealed(reading, join(directory, 'image.json'), { required: true, of: { buildId } }),
  ].filter((finding) => finding !== undefined);
  return (await exists(directory)) ? found : [];
}

export async function scrubMicrovm(reading: Reading, layout: NodeLayout, microvmId: string): Promise<Finding[]> {
  const { directory, record, disks, snapshot } = vmPaths(layout, microvmId);
  for (let attempt = 1; ; attempt++) {
    const generation = await newestGeneration(layout, microvmId);
    const found: Finding[] = [];
    // Before its first sleep it may just be being made.
    const ofRecord = await compareSealed(reading, record, { required: generation > 0, of: { microvmId } });
    if (ofRecord) found.push(ofRecord);
    if (generation > 0) {
      const files = await scrubFiles(reading, snapshot(generation), disks);
      found.push(...files.found, ...(await strangeBase(layout, microvmId, snapshot(generation), files.record)));
    }
    if (found.length === 0 || !(await exists(directory))) return [];
    if ((await newestGeneration(layout, microvmId)) === generation) return found;
    // Changing all the time, it is used all the time, and verified by that.
    if (attempt === attempts) return [];
  }
}

async function scrubFiles(
  reading: Reading,
  directory: string,
  disks?: string,
): Promise<{ record: SnapshotRecord | undefined; found: Finding[] }> {
  const found: Finding[] = [];
  const record = await readSnapshotRecord(directory).catch((error: unknown) => {
    const why = isFault(error) ? String(error.facts.why) : 'it cannot be read';
    found.push({ file: manifestFile(directory), why });
    return undefined;
  });
  if (!record) return { record, found };
  const files = record.files.map((file) => ({ ...file, path: join(directory, file.name) }));
  const layers =
    disks === undefined ? [] : (record.layers ?? []).map((file) => ({ ...file, path: join(disks, file.name) }));
  for (const { path, ...file } of [...files, ...layers]) {
    const finding = await compareFile(reading, path, file, 'the manifest');
    if (finding) found.push(finding);
  }
  return { record, found };
}

/** Manifests of earlier versions have no checksum of their own: this finds changes in those of images. */
async function strangeBase(
  layout: NodeLayout,
  microvmId: string,
  snapshot: string,
  record: SnapshotRecord | undefined,
): Promise<Finding[]> {
  const owner = await readRecord(layout, microvmId);
  const image = owner && (await readSnapshotRecord(join(layout.images, owner.buildId)).catch(() => undefined));
  if (!image || !record || record.base === image.id) return [];
  return [
    { file: manifestFile(snapshot), why: 'it belongs to another image, or the manifest of its image was changed' },
  ];
}
