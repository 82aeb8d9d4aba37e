// `waterbear orphans`: things without an owner on both sides, and their removal.
import { z } from 'zod';
import type { ServerFacts } from '../../src/contract/server-facts.ts';
import { printableLine } from '../../src/lib/printable.ts';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { listing, plural } from '../listing.ts';
import { formatBytes } from '../quantities.ts';
import { askServer, getSigned, membersOf } from '../server-api.ts';
import { readServerFile } from '../server-file.ts';
import type { Surroundings } from '../surroundings.ts';

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  reap: z.union([z.literal(true), z.array(z.string().min(1).max(1024))]).optional(),
  json: z.boolean().default(false),
});

const found = z.object({
  orphans: z.array(
    z.object({
      ...{ id: z.string(), where: z.string(), why: z.string(), cleaning: z.string() },
      ...{ ageMs: z.number(), bytes: z.number(), holdsState: z.boolean() },
    }),
  ),
  leftovers: z.array(z.looseObject({ what: z.string(), why: z.string() })),
});
/** Every file of the server is looked at. */
const longMs = 90_000;

const done = z.object({
  reaped: z.array(z.object({ id: z.string(), done: z.boolean(), why: z.string().optional(), bytes: z.number() })),
  more: z.boolean(),
});
type Reaped = z.output<typeof done>['reaped'];

export const orphans = defineCommand({
  name: 'orphans',
  summary: 'show what is left without an owner, on the host and in the records, and reap it',
  details: `
Without --reap nothing is changed. --reap alone reaps everything but what is marked with *: that may hold
somebody's work (a MicroVM or an image that no record knows), and has to be named. What is in use, or
younger than a minute, is no orphan. Each one is judged again before it is touched.`,
  flags: [
    dataFlag,
    { flags: '--reap [id...]', text: 'reap these, or all that hold no work' },
    { flags: '--json', text: 'print the answer of the server' },
  ],
  schema,
  run: async ({ data, reap, json }, around) => {
    const facts = await readServerFile(dataDirectory(data, around));
    return reap === undefined ? show(facts, json, around) : reapThem(facts, reap, json, around);
  },
});

async function show(facts: ServerFacts, json: boolean, { out }: Surroundings): Promise<number> {
  const asked = await getSigned(facts.apiUrl, '/waterbear/v1/orphans', facts, Date.now(), longMs);
  const answer = found.parse(membersOf(asked));
  if (json) {
    out.write(`${JSON.stringify(answer, undefined, 2)}\n`);
    return 0;
  }
  const { orphans: all, leftovers } = answer;
  if (leftovers.length > 0) {
    out.write(`${plural(leftovers.length, 'thing')} could not be removed so far. The server goes on trying:\n`);
    for (const { what, why } of leftovers) out.write(`  ${printableLine(what, 1000)}: ${printableLine(why, 1000)}\n`);
  }
  if (all.length === 0) {
    out.write('There are no orphans.\n');
    return 0;
  }
  const entries = all.map(({ id, holdsState, why, cleaning, ...rest }) => ({
    ...rest,
    name: holdsState ? `${id} *` : id,
    text: `${why} If reaped: ${cleaning}`,
  }));
  out.write(listing(entries, out));
  const bytes = all.reduce((sum, orphan) => sum + orphan.bytes, 0);
  out.write(`${plural(all.length, 'orphan')}, ${formatBytes(bytes)}.\n`);
  const held = all.filter(({ holdsState }) => holdsState).length;
  if (held < all.length) out.write('Reap those without a mark: waterbear orphans --reap\n');
  if (held > 0) out.write("* may hold somebody's work. Reap it by its id: waterbear orphans --reap ID\n");
  return 0;
}

async function reapThem(
  facts: ServerFacts,
  ids: true | readonly string[],
  json: boolean,
  { out }: Surroundings,
): Promise<number> {
  const reaped: Reaped = [];
  for (let more = true; more; ) {
    // What was tried is not asked for again.
    const tried = new Set(reaped.map(({ id }) => id));
    const order = ids === true ? { all: true } : { ids: ids.filter((id) => !tried.has(id)) };
    const answer = done.parse(await askServer(facts, '/waterbear/v1/orphans/reap', order, Date.now(), longMs));
    reaped.push(...answer.reaped.filter(({ id }) => !tried.has(id)));
    more = answer.more && answer.reaped.some((one) => one.done);
  }
  if (json) out.write(`${JSON.stringify({ reaped }, undefined, 2)}\n`);
  else writeReaped(reaped, out);
  return reaped.every((one) => one.done) ? 0 : 1;
}

function writeReaped(reaped: Reaped, out: Surroundings['out']): void {
  if (reaped.length === 0) {
    out.write('There was nothing to reap.\n');
    return;
  }
  out.write(
    listing(
      reaped.map(({ id, bytes, why }) => ({ name: id, bytes, text: why ?? 'Reaped.' })),
      out,
    ),
  );
  const gone = reaped.filter((one) => one.done);
  const bytes = gone.reduce((sum, one) => sum + one.bytes, 0);
  out.write(`${gone.length} of ${plural(reaped.length, 'orphan')} reaped, ${formatBytes(bytes)} freed.\n`);
}
