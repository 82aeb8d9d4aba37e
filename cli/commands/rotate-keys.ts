// `waterbear rotate-keys`: a new key for endpoint tokens, now.
import { z } from 'zod';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { askServer } from '../server-api.ts';
import { readServerFile } from '../server-file.ts';

export const rotateKeys = defineCommand({
  name: 'rotate-keys',
  summary: 'seal new endpoint tokens with a new key',
  details: `
The server does so by itself (serve --token-key-hours). Tokens that are out stay valid until they expire;
"waterbear revoke --everything" ends them, too.`,
  flags: [dataFlag],
  schema: z.object({ data: z.string().min(1, 'must name a directory').optional() }),
  run: async ({ data }, around) => {
    const facts = await readServerFile(dataDirectory(data, around));
    await askServer(facts, '/waterbear/v1/tokens/rotate-keys', {}, Date.now());
    around.out.write('New tokens have a new key.\n');
    return 0;
  },
});
