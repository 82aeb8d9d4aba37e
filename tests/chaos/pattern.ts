// The megabyte of tests/support/apps/chaos, as it must be after these marks in this order.
import { createHash } from 'node:crypto';

const sha256 = (data: Buffer | string): Buffer => createHash('sha256').update(data).digest();
const digestBytes = 32;
const fresh = Buffer.concat(Array.from({ length: 32_768 }, (_, i) => sha256(String(i))));

/** Its SHA-256, in hex. */
export function patternAfter(marks: readonly number[]): string {
  const pattern = Buffer.from(fresh);
  for (const mark of marks) sha256(`mark ${mark}`).copy(pattern, (mark * 4099) % (pattern.length - digestBytes));
  return sha256(pattern).toString('hex');
}
