// `waterbear scrub`: a pass over everything the server keeps, now.
import { z } from 'zod';
import type { ScrubFacts } from '../../src/app/scrubbing.ts';
import type { ServerFacts } from '../../src/contract/server-facts.ts';
import { pause } from '../../src/lib/deadline.ts';
import { Fault } from '../../src/lib/errors.ts';
import { printableLine } from '../../src/lib/printable.ts';
import { defineCommand, numberOption } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { progressLine } from '../progress-line.ts';
import { askServer, getSigned, membersOf } from '../server-api.ts';
import { readServerFile } from '../server-file.ts';
import type { Surroundings } from '../surroundings.ts';

const path = '/waterbear/v1/scrub';
const lookEveryMs = 300;

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  mibPerSecond: numberOption(0, 100_000).optional(),
  json: z.boolean().default(false),
});

export const scrub = defineCommand({
  name: 'scrub',
  summary: 'read everything that is kept, compare it with its checksums, and say what is damaged',
  details: `
Images, sleeping MicroVMs, objects, keys, the database, the guest's kernel and what else set-up made. The server does so by
itself every few days (serve --scrub-days). A MicroVM of which something is damaged does not wake until the file has been
put right, e.g. from a backup, and a pass has found it so. Ends with 1 when there is damage.
The pass is the server's and goes on when this command is stopped.`,
  flags: [
    dataFlag,
    { flags: '--mib-per-second <n>', text: "how fast it reads; 0: as fast as it can (default: the server's pace)" },
    { flags: '--json', text: 'print what was found as JSON' },
  ],
  schema,
  run: async ({ data, mibPerSecond, json }, around) => {
    const server = await readServerFile(dataDirectory(data, around));
    const order = mibPerSecond === undefined ? {} : { mibPerSecond };
    const begun = (await askServer(server, path, order, Date.now())) as unknown as ScrubFacts;
    const facts = await untilOver(server, begun, around);
    if (json) around.out.write(`${JSON.stringify(facts, undefined, 2)}\n`);
    else print(facts, around);
    return facts.damage.length === 0 ? 0 : 1;
  },
});

async function untilOver(server: ServerFacts, begun: ScrubFacts, around: Surroundings): Promise<ScrubFacts> {
  const line = progressLine(around.err);
  const startedAt = begun.underWay?.startedAt;
  try {
    for (;;) {
      const answer = await getSigned(server.apiUrl, path, server, Date.now());
      const facts = membersOf(answer) as unknown as ScrubFacts;
      if (facts.underWay?.startedAt !== startedAt || startedAt === undefined) {
        if (facts.last?.startedAt === startedAt || startedAt === undefined) return facts;
        if (facts.underWay || (facts.last && facts.last.startedAt > startedAt))
          throw new Fault('conflict', { what: 'Another pass was asked for, and took the place of this.' });
        throw new Fault('internal', { what: "The pass did not come to its end. The server's log says why." });
      }
      const { files, bytes } = facts.underWay ?? { files: 0, bytes: 0 };
      const about = facts.last ? ` of about ${mib(facts.last.bytes)}` : '';
      line.show(`${counted(files)}, ${mib(bytes)}${about} read, ${facts.damage.length} damaged`);
      await pause(lookEveryMs);
    }
  } finally {
    line.clear();
  }
}

function print({ last, damage }: ScrubFacts, { out }: Surroundings): void {
  if (last)
    out.write(
      `${counted(last.files)}, ${mib(last.bytes)} read. Ledger: ${last.ledger.count} ${last.ledger.checksum}\n`,
    );
  out.write(damage.length === 0 ? 'Nothing is damaged.\n' : `Damaged: ${damage.length}\n`);
  if (damage.length === 0) return;
  for (const { file, why, microvmId, buildId } of damage) {
    const owner = microvmId ?? (buildId === undefined ? undefined : `image of build ${buildId}`);
    out.write(
      `  ${printableLine(file, 1_000)}\n    ${printableLine(why, 1_000)}${owner === undefined ? '' : `; of ${owner}`}\n`,
    );
  }
  out.write(
    'Put these files right, from a backup if there is one, and scrub again; or terminate or build anew what they belong to.\n',
  );
}

const counted = (files: number): string => `${files} ${files === 1 ? 'file' : 'files'}`;

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(bytes < 2 ** 20 ? 1 : 0)} MiB`;
