// One pass: everything that is kept is read once and compared with what was written down when it was made.
import { join } from 'node:path';
import type { Damage } from '../contract/integrity.ts';
import { describe, isFault } from '../lib/errors.ts';
import { nodeLayout, wholeNames } from '../node/layout.ts';
import { checkInThread } from '../store/check-in-thread.ts';
import type { LedgerHead } from '../store/ledger.ts';
import { toolkitChecksums } from '../vmm/toolkit-checksums.ts';
import { compareFile, compareSealed, type Finding } from './compare.ts';
import { scrubObjects } from './objects.ts';
import type { Reading } from './reading.ts';
import { scrubImage, scrubMicrovm } from './snapshots.ts';

export interface ScrubPlaces {
  dataDirectory: string;
  /** What set-up made; absent where no VMs are run. */
  toolkitDirectory?: string | undefined;
}

type Found = Omit<Damage, 'foundAtMs'>;

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
  // First what is small and matters most, last what takes long.
  const database = join(dataDirectory, 'waterbear.db');
  const { problems, ledger } = await checkInThread(database, signal);
  await report(problems.map((why) => ({ file: database, why })));
  await report([await compareSealed(reading, join(dataDirectory, 'keys', 'tokens.json'), { required: false })]);
  for (const microvmId of await wholeNames(layout.vms)) {
    await report(await scrubMicrovm(reading, layout, microvmId), { microvmId });
  }
  for (const buildId of await wholeNames(layout.images)) {
    await report(await scrubImage(reading, layout, buildId), { buildId });
  }
  if (toolkitDirectory !== undefined) {
    for (const name of ['guest', 'bin', 'builder'])
      await report(await scrubToolkit(reading, join(toolkitDirectory, name)));
  }
  for await (const finding of scrubObjects(reading, join(dataDirectory, 'objects'))) await report([finding]);
  return ledger;
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
