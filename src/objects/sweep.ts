// Removes what a crash left: files being written, and bytes whose record never came or names other bytes.
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { remove } from '../lib/durable-file.ts';
import { bucketDir, type Layout } from './layout.ts';
import { objectRecord, readRecord } from './record.ts';

/** Runs before the store is used: nothing else may write meanwhile. */
export async function sweep(layout: Layout, buckets: readonly string[]): Promise<void> {
  for (const name of await readdir(layout.tmp)) await remove(join(layout.tmp, name));
  for (const bucket of buckets) {
    const objects = join(bucketDir(layout, bucket), 'objects');
    for (const folder of await readdir(objects)) await sweepFolder(join(objects, folder));
  }
}

async function sweepFolder(dir: string): Promise<void> {
  const byHash = new Map<string, string[]>();
  const recorded = new Set<string>();
  for (const name of await readdir(dir)) {
    const match = /^([0-9a-f]{64})\.(json|[0-9a-f]{24})$/.exec(name);
    const [, hash = '', kind] = match ?? [];
    if (kind === 'json') recorded.add(hash);
    else if (match) byHash.set(hash, [...(byHash.get(hash) ?? []), name]);
  }
  for (const [hash, names] of byHash) {
    // One record with one file is the rule; only the exceptions are read.
    if (recorded.has(hash) && names.length === 1) continue;
    const kept = recorded.has(hash) ? await namedBytes(join(dir, `${hash}.json`)) : undefined;
    // A damaged record may be repaired by hand: its bytes stay.
    if (kept === 'damaged') continue;
    for (const name of names) if (name !== kept) await remove(join(dir, name));
  }
}

async function namedBytes(path: string): Promise<string | undefined> {
  try {
    return (await readRecord(path, objectRecord))?.data;
  } catch {
    return 'damaged';
  }
}
