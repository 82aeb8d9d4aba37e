// `waterbear show`: what the server knows of a MicroVM beside the AWS API.
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { microvmOption } from '../microvm-option.ts';
import { getSigned, membersOf } from '../server-api.ts';
import { readServerFile } from '../server-file.ts';

const schema = z.object({ data: z.string().min(1, 'must name a directory').optional(), id: microvmOption });

export const show = defineCommand({
  name: 'show',
  summary: 'show what a MicroVM does, how it started, and why it slept last, as JSON',
  details: `
"lastSeen" says what keeps a running MicroVM awake; "sleep" says which signal decided on its last sleep;
"wentBack" that its VM was lost, and to which snapshot it returned (--lost-vms restore).`,
  arguments: [{ flags: '<id>', text: 'id of the MicroVM' }],
  flags: [dataFlag],
  schema,
  run: async ({ data, id }, around) => {
    const facts = await readServerFile(dataDirectory(data, around));
    const answer = await getSigned(facts.apiUrl, `/waterbear/v1/microvms/${id}`, facts, Date.now());
    around.out.write(`${JSON.stringify(membersOf(answer), undefined, 2)}\n`);
    return 0;
  },
});
