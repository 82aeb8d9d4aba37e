// Keys and texts of Signature Version 4.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#derive-signing-key
import { createHmac, createSecretKey, hash, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { Claim } from './claim.ts';

export const sha256Hex = (data: Uint8Array | string): string => hash('sha256', data, 'hex');

export const credentialScope = (claim: Pick<Claim, 'date' | 'region' | 'service'>): string =>
  `${claim.date}/${claim.region}/${claim.service}/aws4_request`;

/** Derived keys of today, by secret and scope: deriving one costs more than the rest of a check. */
const derived = new Map<string, KeyObject>();
const maxDerived = 1000;

/** Only for a secret that belongs to a known key, and for scopes that were checked: what is derived is kept. */
export function signingKey(secret: string, claim: Pick<Claim, 'date' | 'region' | 'service'>): KeyObject {
  const name = `${credentialScope(claim)} ${secret}`;
  const before = derived.get(name);
  if (before) return before;
  const bytes = [claim.date, claim.region, claim.service, 'aws4_request'].reduce<Buffer>(
    (parent, part) => createHmac('sha256', parent).update(part).digest(),
    Buffer.from(`AWS4${secret}`, 'utf8'),
  );
  const key = createSecretKey(bytes);
  if (derived.size >= maxDerived) derived.clear();
  derived.set(name, key);
  return key;
}

/** Signs the lines of a string-to-sign; lower-case hex. */
export const sign = (key: KeyObject, ...lines: string[]): string =>
  createHmac('sha256', key).update(lines.join('\n')).digest('hex');

/** Compares in time that does not depend on where the texts differ. */
export function equalSecrets(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8')];
  return left.length === right.length && timingSafeEqual(left, right);
}
