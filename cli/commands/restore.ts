// `waterbear restore`: a data directory from a backup.
import { resolve } from 'node:path';
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { runCopy } from '../copy-run.ts';

const schema = z.object({
  backup: z.string().min(1, 'must name a directory'),
  data: z.string({ error: 'is needed: the data directory to make' }).min(1, 'must name a directory'),
  json: z.boolean().default(false),
});

export const restore = defineCommand({
  name: 'restore',
  summary: 'make a new data directory from a backup',
  details: `
Every file of the backup is compared with its checksum first; one that is damaged is named, and nothing is made. MicroVMs that
ran when the backup was made sleep at their last snapshot, those without one have ended. The time between backup and restore
does not count towards maximum and suspended durations. Start a server on the new directory afterwards, and none on the old
one at the same time: MicroVMs would exist twice, with the same names and tokens.`,
  arguments: [{ flags: '<backup>', text: 'directory that "waterbear backup" made' }],
  flags: [
    { flags: '--data <dir>', text: 'data directory to make: new or empty' },
    { flags: '--json', text: 'print what was restored as JSON' },
  ],
  schema,
  run: async ({ backup, data, json }, around) => {
    const { restoreBackup } = await import('../../src/backup/restore-backup.ts');
    const dataDirectory = resolve(around.workingDirectory, data);
    const order = { backup: resolve(around.workingDirectory, backup), dataDirectory, nowMs: Date.now() };
    const report = await runCopy(dataDirectory, around, (run) => restoreBackup({ ...order, ...run }));
    if (json) around.out.write(`${JSON.stringify(report, undefined, 2)}\n`);
    else {
      const { createdMs, files, asleep, ended } = report;
      around.out.write(`${files} files of ${new Date(createdMs).toISOString()} are in ${dataDirectory}.\n`);
      around.out.write(
        `MicroVMs: ${asleep.length} sleep, ${ended.length} have ended, for the backup has no snapshot of them.\n`,
      );
      around.out.write(`Start the server: waterbear serve --data ${dataDirectory}\n`);
    }
    return 0;
  },
});
