// `waterbear gc`: what nobody uses any more, and its removal, by the running server.
import { z } from 'zod';
import type { ServerFacts } from '../../src/contract/server-facts.ts';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { listing, plural } from '../listing.ts';
import { formatBytes } from '../quantities.ts';
import { askServer } from '../server-api.ts';
import { readServerFile } from '../server-file.ts';
import type { Output } from '../surroundings.ts';

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  dryRun: z.boolean().default(false),
  json: z.boolean().default(false),
});

const collection = z.object({
  dryRun: z.boolean(),
  pieces: z.array(
    z.object({
      ...{ policy: z.string(), id: z.string(), where: z.string(), why: z.string(), cleaning: z.string() },
      ...{ bytes: z.number(), done: z.boolean().optional(), failure: z.string().optional() },
    }),
  ),
  bytes: z.number(),
  more: z.boolean(),
  kept: z.array(z.looseObject({ id: z.string(), bytes: z.number() })),
});
type Collection = z.output<typeof collection>;

export const gc = defineCommand({
  name: 'gc',
  summary: 'free what nobody uses: by the policies of the server, orphans, and caches that can be made again',
  details: `
--dry-run says what would be freed and why, and changes nothing. The policies are those of the running
server (serve --keep-suspended, --keep-versions, --keep-ended, --keep-logs). What may hold somebody's work
is only told about: reap it with "waterbear orphans --reap ID".`,
  flags: [
    dataFlag,
    { flags: '--dry-run', text: 'change nothing' },
    { flags: '--json', text: 'print what was, or would be, done as JSON' },
  ],
  schema,
  run: async ({ data, dryRun, json }, around) => {
    const facts = await readServerFile(dataDirectory(data, around));
    const result = await collect(facts, dryRun);
    if (json) around.out.write(`${JSON.stringify(result, undefined, 2)}\n`);
    else write(result, around.out);
    return result.pieces.every(({ done }) => done !== false) ? 0 : 1;
  },
});

async function collect(facts: ServerFacts, dryRun: boolean): Promise<Collection> {
  const ask = async (): Promise<Collection> =>
    collection.parse(await askServer(facts, '/waterbear/v1/gc', { dryRun }, Date.now(), 90_000));
  let whole = await ask();
  while (whole.more && !dryRun) {
    const next = await ask();
    // What cannot be freed must not be tried for ever.
    const isStuck = next.pieces.every(({ done }) => done === false);
    whole = { ...next, pieces: [...whole.pieces, ...next.pieces], bytes: whole.bytes + next.bytes };
    if (isStuck) break;
  }
  return whole;
}

function write({ dryRun, pieces, bytes, kept }: Collection, out: Output): void {
  if (pieces.length === 0) out.write('There is nothing to free.\n');
  else {
    const textOf = ({ why, cleaning, failure }: Collection['pieces'][number]): string => {
      if (failure !== undefined) return `${why} Not done: ${failure}`;
      return dryRun ? `${why} ${cleaning}` : why;
    };
    out.write(
      listing(
        pieces.map((piece) => ({ name: piece.id, bytes: piece.bytes, text: textOf(piece) })),
        out,
      ),
    );
    const freed = pieces.filter(({ done }) => done !== false).length;
    const verb = dryRun ? 'would be freed' : 'freed';
    out.write(`${plural(freed, 'thing')}, ${formatBytes(bytes)} ${verb}.\n`);
    if (dryRun) out.write('Free it: waterbear gc\n');
  }
  if (kept.length === 0) return;
  const keptBytes = kept.reduce((sum, orphan) => sum + orphan.bytes, 0);
  out.write(`${plural(kept.length, 'orphan')} with ${formatBytes(keptBytes)} may hold somebody's work and stay:\n`);
  for (const { id } of kept) out.write(`  ${id}\n`);
  out.write('See waterbear orphans.\n');
}
