// `waterbear verify`: whether the database is whole, with or without a running server.
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Fault, isFault } from '../../src/lib/errors.ts';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  noted: z
    .string()
    .regex(/^\d{1,15}[ :][0-9a-f]{64}$/, 'must be what was printed behind "Ledger:", a number and 64 digits')
    .transform((text) => ({ count: Number.parseInt(text, 10), checksum: text.slice(-64) }))
    .optional(),
  json: z.boolean().default(false),
});

export const verify = defineCommand({
  name: 'verify',
  summary: 'check the database: its structure, references, and the ledger of usage',
  details: `
Prints the head of the ledger: how many usage intervals are closed, and the checksum over all of them. Note it elsewhere: as
long as a later ledger goes through the same head (--noted), nothing before it was changed, whoever has access to the
database; after a restore, one that was noted before the backup. Ends with 1 when something is wrong.`,
  flags: [
    dataFlag,
    {
      flags: '--noted <head>',
      text: 'a head that was printed earlier, "NUMBER CHECKSUM": it must still be in the ledger',
    },
    { flags: '--json', text: 'print what was found as JSON' },
  ],
  schema,
  run: async ({ data, noted, json }, around) => {
    const file = join(dataDirectory(data, around), 'waterbear.db');
    await stat(file).catch((cause: unknown) => {
      throw new Fault('not_found', { what: `There is no database ${file}. Name a data directory with --data.` }, cause);
    });
    // Loaded only here: the other commands start faster without the database.
    const { checkDatabaseFile } = await import('../../src/store/check-database.ts');
    const { refuseNewerFile } = await import('../../src/store/migrate.ts');
    try {
      refuseNewerFile(file);
    } catch (error) {
      // What is damaged is told below.
      if (!isFault(error, 'database_damaged')) throw error;
    }
    const { problems, ledger, isOld } = checkDatabaseFile(file, noted);
    if (json) around.out.write(`${JSON.stringify({ problems, ledger, isOld }, undefined, 2)}\n`);
    else {
      if (isOld) around.out.write('An earlier version wrote it: it has no ledger until a server has started on it.\n');
      else around.out.write(`Ledger: ${ledger.count} ${ledger.checksum}\n`);
      if (noted && problems.length === 0) around.out.write(`It goes through the noted head, ${noted.count}.\n`);
      around.out.write(problems.length === 0 ? 'The database is whole.\n' : `Damaged:\n  ${problems.join('\n  ')}\n`);
    }
    return problems.length === 0 ? 0 : 1;
  },
});
