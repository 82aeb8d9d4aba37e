// The body that asks for a pass of the scrubber, checked at the door.
import { z } from 'zod';
import { Fault } from '../../lib/errors.ts';

const schema = z.strictObject({ mibPerSecond: z.number().int().min(0).max(100_000).optional() });

/** Returns MiB per second; 0 is as fast as can be, undefined the server's own pace. Throws `invalid_input`. */
export function readScrubOrder(body: Buffer): number | undefined {
  try {
    return schema.parse(body.length === 0 ? {} : JSON.parse(body.toString('utf8'))).mibPerSecond;
  } catch (cause) {
    const what = 'A pass is asked for with {} or {"mibPerSecond": n}, a whole number; 0 is as fast as can be.';
    throw new Fault('invalid_input', { what }, cause);
  }
}
