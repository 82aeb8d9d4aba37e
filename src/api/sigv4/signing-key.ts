// Keys and texts of Signature Version 4.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#derive-signing-key
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { Claim } from './claim.ts';

export const sha256Hex = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex');

export const credentialScope = (claim: Pick<Claim, 'date' | 'region' | 'service'>): string =>
  `${claim.date}/${claim.region}/${claim.service}/aws4_request`;

export function signingKey(secret: string, claim: Pick<Claim, 'date' | 'region' | 'service'>): Buffer {
  return [claim.date, claim.region, claim.service, 'aws4_request'].reduce<Buffer>(
    (key, part) => createHmac('sha256', key).update(part).digest(),
    Buffer.from(`AWS4${secret}`, 'utf8'),
  );
}

/** Signs the lines of a string-to-sign; lower-case hex. */
export const sign = (key: Uint8Array, ...lines: string[]): string =>
  createHmac('sha256', key).update(lines.join('\n')).digest('hex');

/** Compares in time that does not depend on where the texts differ. */
export function equalSecrets(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8')];
  return left.length === right.length && timingSafeEqual(left, right);
}
