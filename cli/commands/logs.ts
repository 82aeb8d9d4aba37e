// `waterbear logs`: the log of one image build.
import { z } from 'zod';
import { Fault } from '../../src/lib/errors.ts';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { getSigned } from '../server-api.ts';
import { readServerFile } from '../server-file.ts';

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  build: z
    .string({ error: 'is needed: the buildId of list-microvm-image-builds' })
    .regex(/^[A-Za-z0-9-]{1,64}$/, 'must be a build id, as list-microvm-image-builds shows it'),
});

export const logs = defineCommand({
  name: 'logs',
  summary: 'print the log of an image build',
  details: 'The build id is in the answer of ListMicrovmImageBuilds.',
  flags: [dataFlag, { flags: '--build <id>', text: 'build whose log is printed' }],
  schema,
  run: async ({ data, build }, around) => {
    const facts = await readServerFile(dataDirectory(data, around));
    const { status, body } = await getSigned(facts.apiUrl, `/waterbear/v1/builds/${build}/log`, facts, Date.now());
    if (status === 404) throw new Fault('not_found', { what: `The server knows no build ${build}.` });
    if (status !== 200) throw new Fault('internal', { what: `The server answered ${status}: ${body.slice(0, 500)}` });
    around.out.write(body);
    return 0;
  },
});
