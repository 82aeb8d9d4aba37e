// The body of a lease, checked at the door.
import { z } from 'zod';
import { longestLeaseSeconds } from '../../app/lease.ts';
import { Fault } from '../../lib/errors.ts';

const schema = z.strictObject({ seconds: z.number().int().min(0).max(longestLeaseSeconds) });

/** Returns its seconds; 0 ends a lease. Throws `invalid_input`. */
export function readLeaseOrder(body: Buffer): number {
  try {
    return schema.parse(JSON.parse(body.toString('utf8'))).seconds;
  } catch (cause) {
    const what = `A lease is {"seconds": n} with a whole number, 0 (ends it) to ${longestLeaseSeconds}.`;
    throw new Fault('invalid_input', { what }, cause);
  }
}
