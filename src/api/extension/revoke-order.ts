// The body of a revocation, checked at the door.
import { z } from 'zod';
import type { RevokeOrder } from '../../app/revoke-tokens.ts';
import { Fault } from '../../lib/errors.ts';

const id = z.string().min(1).max(256);

const schema: z.ZodType<RevokeOrder> = z.union([
  z.strictObject({ token: z.string().min(1).max(8_000) }),
  z.strictObject({ microvmId: id, tokenId: z.string().regex(/^[\w-]{1,128}$/) }),
  z.strictObject({ microvmId: id }),
  z.strictObject({ everything: z.literal(true) }),
]);

/** Throws `invalid_input`. */
export function readRevokeOrder(body: Buffer): RevokeOrder {
  try {
    return schema.parse(JSON.parse(body.toString('utf8')));
  } catch (cause) {
    const what =
      'What is to be revoked is not clear. Send {"token"}, {"microvmId","tokenId"}, {"microvmId"} or {"everything":true}, and nothing else.';
    throw new Fault('invalid_input', { what }, cause);
  }
}
