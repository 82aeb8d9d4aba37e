// Whether a signature is of now: fifteen minutes of clock skew, or the life of a presigned URL.
import { formatAmzDate, parseAmzDate } from './amz-date.ts';
import type { Claim } from './claim.ts';
import { refuse } from './refusal.ts';

export const defaultSkewMs = 15 * 60_000;

/** Refuses a request whose date is unreadable, differs from its scope, or is too far from `nowMs`. */
export function checkFreshness(claim: Claim, nowMs: number, maxSkewMs: number): void {
  const signedMs = parseAmzDate(claim.amzDate);
  if (signedMs === undefined) throw refuse('incomplete', 'The request date is not of the form YYYYMMDDTHHMMSSZ.');
  if (claim.date !== claim.amzDate.slice(0, 8)) {
    throw refuse('scope', `Date in Credential scope does not match the request date: '${claim.date}'.`);
  }
  const limit = `${formatAmzDate(nowMs)}, ${maxSkewMs / 60_000} min.`;
  if (signedMs > nowMs + maxSkewMs) {
    throw refuse('skew', `Signature not yet current: ${claim.amzDate} is later than allowed (now ${limit})`);
  }
  if (claim.expiresSeconds === undefined) {
    if (signedMs >= nowMs - maxSkewMs) return;
    throw refuse('skew', `Signature expired: ${claim.amzDate} is earlier than allowed (now ${limit})`);
  }
  if (nowMs > signedMs + claim.expiresSeconds * 1000) throw refuse('expired', 'Request has expired');
}
