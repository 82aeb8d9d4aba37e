// `waterbear revoke`: endpoint tokens that shall open nothing any more.
import { z } from 'zod';
import { Fault } from '../../src/lib/errors.ts';
import { defineCommand } from '../command.ts';
import { dataDirectory, dataFlag } from '../data-directory.ts';
import { askServer } from '../server-api.ts';
import { readServerFile } from '../server-file.ts';

const schema = z.object({
  data: z.string().min(1, 'must name a directory').optional(),
  microvm: z.string().min(1, 'must be a microvmId').optional(),
  tokenId: z
    .string()
    .regex(/^[\w-]{1,128}$/, 'must be a tokenId, as the access log shows it')
    .optional(),
  token: z.string().min(1, 'must be a token').max(8000, 'is longer than any token').optional(),
  everything: z.boolean().default(false),
});
type RevokeOptions = z.output<typeof schema>;

export const revoke = defineCommand({
  name: 'revoke',
  summary: 'take back endpoint tokens before they expire',
  details: `
Name one: --token, --microvm (all of its tokens so far), --microvm with --token-id, or --everything.
New requests are refused at once, open ones and WebSockets are cut. Tokens made afterwards are good.`,
  flags: [
    dataFlag,
    { flags: '--token <token>', text: 'this token' },
    { flags: '--microvm <id>', text: 'all tokens that this MicroVM has so far' },
    { flags: '--token-id <id>', text: 'of that MicroVM only the token with this id; the access log has it' },
    { flags: '--everything', text: 'all tokens of all MicroVMs, and the keys that sealed them' },
  ],
  schema,
  run: async (options, around) => {
    const order = orderFrom(options);
    const facts = await readServerFile(dataDirectory(options.data, around));
    await askServer(facts, '/waterbear/v1/tokens/revoke', order, Date.now());
    around.out.write('Revoked.\n');
    return 0;
  },
});

function orderFrom({ token, microvm: microvmId, tokenId, everything }: RevokeOptions): object {
  const named = [token, microvmId, everything || undefined].filter((one) => one !== undefined).length;
  if (named !== 1 || (tokenId !== undefined && microvmId === undefined)) {
    const what =
      'What to revoke is not clear. Give one of --token, --microvm (with --token-id for one token), --everything.';
    throw new Fault('invalid_input', { what });
  }
  if (token !== undefined) return { token };
  if (microvmId === undefined) return { everything: true };
  return tokenId === undefined ? { microvmId } : { microvmId, tokenId };
}
