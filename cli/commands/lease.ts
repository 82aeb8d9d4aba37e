// `waterbear lease`: keeps a MicroVM from sleeping by its idle policy for a time.
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { microvmOption } from '../microvm-option.ts';
import { durationMs } from '../quantities.ts';
import { askServer } from '../server-api.ts';
import { readServerFile } from '../server-file.ts';

/** `90`, `90s`, `10m`, `2h`, as seconds. The server knows the bounds. */
const timeOption = z
  .string()
  .regex(/^\d{1,6}[smh]?$/, 'must be a time such as 90s, 10m or 2h, or 0')
  .transform((text) => durationMs(text) / 1000);

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  id: microvmOption,
  time: timeOption,
});

export const lease = defineCommand({
  name: 'lease',
  summary: 'keep a MicroVM awake for a time, whatever its idle policy says',
  details: `
A new lease takes the place of the one before; 0 ends it. A lease holds neither against suspend-microvm nor
against the maximum duration, and does not wake a MicroVM that sleeps.`,
  arguments: [
    { flags: '<id>', text: 'id of the MicroVM' },
    { flags: '<time>', text: 'for how long: 90s, 10m, 2h; 0 ends the lease' },
  ],
  flags: [dataFlag],
  schema,
  run: async ({ data, id, time }, around) => {
    const facts = await readServerFile(dataDirectory(data, around));
    const path = `/waterbear/v1/microvms/${id}/lease`;
    const { leasedUntil, state } = await askServer(facts, path, { seconds: time }, Date.now());
    around.out.write(
      leasedUntil === null ? `No lease on ${id} (${state}).\n` : `Leased until ${leasedUntil} (${state}).\n`,
    );
    return 0;
  },
});
