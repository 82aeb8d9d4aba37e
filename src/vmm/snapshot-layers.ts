// Which disk layers of its VM a sleeping snapshot is made of.
import { readSnapshotRecord } from './snapshot-record.ts';

/** What drivers call them. */
export const isLayerName = (name: string): boolean => /^layer-\d{1,9}\.(qcow2|fake)$/.test(name);

/** Their file names, from the manifest. Undefined when it is damaged, or is of a driver that does not name them: then any may be needed. */
export async function layersOf(snapshot: string): Promise<ReadonlySet<string> | undefined> {
  const record = await readSnapshotRecord(snapshot).catch(() => undefined);
  return record?.layers && new Set(record.layers.map(({ name }) => name));
}
