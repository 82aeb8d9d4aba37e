// The bodies of reaping and of garbage collection, checked at the door.
import { z } from 'zod';
import type { ReapOrder } from '../../app/garbage/reap.ts';
import { Fault } from '../../lib/errors.ts';

const reapOrder = z.union([
  z.strictObject({ ids: z.array(z.string().min(1).max(1024)).min(1).max(1000) }),
  z.strictObject({ all: z.literal(true) }),
]);
const collectOrder = z.strictObject({ dryRun: z.boolean() });

function read<T>(body: Buffer, schema: z.ZodType<T>, what: string): T {
  try {
    return schema.parse(JSON.parse(body.toString('utf8')));
  } catch (cause) {
    throw new Fault('invalid_input', { what }, cause);
  }
}

/** Throws `invalid_input`. */
export const readReapOrder = (body: Buffer): ReapOrder =>
  read(body, reapOrder, 'Say what is to be reaped: {"ids":[…]} with ids of orphans, 1000 at most, or {"all":true}.');

/** Throws `invalid_input`. */
export const readCollectOrder = (body: Buffer): { dryRun: boolean } =>
  read(body, collectOrder, 'Say whether anything is to be done: {"dryRun":true} or {"dryRun":false}.');
