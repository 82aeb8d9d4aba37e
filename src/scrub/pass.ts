// One pass: everything that is kept is read once and compared with what was written down when it was made.
import { join } from 'node:path';
import { describe, isFault } from '../lib/errors.ts';
import { nodeLayout, wholeNames } from '../node/layout.ts';
import { checkInThread } from '../store/check-in-thread.ts';
import type { LedgerHead } from '../store/ledger.ts';
import { toolkitChecksums } from '../vmm/toolkit-checksums.ts';
import { compareFile, compareSealed, type Finding, type Found, unread } from './compare.ts';
import { scrubObjects } from './objects.ts';
import { scrubPromises } from './promised.ts';
import type { Reading } from './reading.ts';
import { scrubImage, scrubMicrovm } from './snapshots.ts';

export interface ScrubPlaces {
  dataDirectory: string;
  /** What set-up made; absent where no VMs are run. */
  toolkitDirectory?: string | undefined;
}

/** Calls `onDamage` as it goes. Resolves with the head of the usage ledger; rejects with `aborted` only. */
export async function scrubPass(
  { dataDirectory, toolkitDirectory }: ScrubPlaces,
  reading: Reading,
  onDamage: (found: Found) => Promise<void>,
  signal: AbortSignal,
): Promise<LedgerHead> {
  const layout = nodeLayout(dataDirectory, '');
  const report = async (findings: (Finding | undefined)[], owner: Partial<Found> = {}): Promise<void> => {
    for (const finding of findings) if (finding) await onDamage({ ...finding, ...owner });
  };
  const listed = async (directory: string): Promise<string[]> => {
    try {
      return await wholeNames(directory);
    } catch (error) {
      await report([unread(directory, error)]);
      return [];
    }
  };
  // First what is small and matters most, last what takes long.
  const database = join(dataDirectory, 'waterbear.db');
  const { problems, ledger } = await checkInThread(database, signal);
  await report(problems.map((why) => ({ file: database, why })));
  await report([await compareSealed(reading, join(dataDirectory, 'keys', 'tokens.json'), { required: false })]);
  // Nothing is known of the rows of a database that cannot be read; that is said already.
  for (const found of await scrubPromises(layout).catch(() => [])) await onDamage(found);
  for (const microvmId of await listed(layout.vms)) {
    const look = () => scrubMicrovm(reading, layout, microvmId);
    await report(await orUnread(join(layout.vms, microvmId), look), { microvmId });
  }
  for (const buildId of await listed(layout.images)) {
    await report(await orUnread(join(layout.images, buildId), () => scrubImage(reading, layout, buildId)), { buildId });
  }
  if (toolkitDirectory !== undefined) {
    for (const name of ['guest', 'bin', 'builder'])
      await report(await scrubToolkit(reading, join(toolkitDirectory, name)));
  }
  for await (const finding of scrubObjects(reading, join(dataDirectory, 'objects'))) await report([finding]);
  return ledger;
}

/** What `look` finds; that it cannot look is a finding of its own. */
async function orUnread(directory: string, look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (error) {
    if (isFault(error, 'aborted')) throw error;
    return [unread(directory, error)];
  }
}

async function scrubToolkit(reading: Reading, directory: string): Promise<Finding[]> {
  const found: Finding[] = [];
  try {
    for (const [name, sha256] of await toolkitChecksums(directory)) {
      const finding = await compareFile(reading, join(directory, name), { sha256 }, 'what set-up has noted');
      if (finding) found.push(finding);
    }
  } catch (error) {
    if (isFault(error, 'aborted')) throw error;
    found.push({ file: join(directory, 'checksums'), why: describe(error) });
  }
  return found;
}
