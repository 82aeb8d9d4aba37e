// The S3 endpoint's objects. One that was replaced or deleted while it was read is no damage.
import { describe } from '../lib/errors.ts';
import { bucketRecords, type KeptObject, objectRecords, readKeptObject } from '../objects/kept-objects.ts';
import { compareFile, compareSealed, type Finding, unread } from './compare.ts';
import type { Reading } from './reading.ts';

const attempts = 3;

export async function* scrubObjects(reading: Reading, directory: string): AsyncGenerator<Finding> {
  // A directory of buckets that cannot be read is told with the objects.
  for (const file of await bucketRecords(directory).catch(() => [])) {
    const finding = await compareSealed(reading, file, { required: true });
    if (finding) yield finding;
  }
  const unreadable: Finding[] = [];
  for await (const record of objectRecords(directory, (at, error) => unreadable.push(unread(at, error)))) {
    const finding = await scrubObject(reading, record);
    if (finding) yield finding;
  }
  yield* unreadable;
}

async function scrubObject(reading: Reading, record: string): Promise<Finding | undefined> {
  for (let attempt = 1; ; attempt++) {
    const kept = await look(record);
    if (kept === undefined) return undefined;
    if ('why' in kept) return kept;
    const finding = await compareFile(reading, kept.data, kept, 'its record');
    if (!finding || attempt === attempts) return finding;
    const now = await look(record);
    if (now && 'data' in now && now.data === kept.data) return finding;
  }
}

async function look(record: string): Promise<KeptObject | Finding | undefined> {
  try {
    return await readKeptObject(record);
  } catch (error) {
    return { file: record, why: `it cannot be read: ${describe(error)}` };
  }
}
