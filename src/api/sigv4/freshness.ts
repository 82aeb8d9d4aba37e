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
    const what = `Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '${claim.date}' != '${claim.amzDate.slice(0, 8)}', from '${claim.amzDate}'.`;
    throw refuse('scope', what);
  }
  const minutes = maxSkewMs / 60_000;
  if (signedMs > nowMs + maxSkewMs) {
    const latest = `${formatAmzDate(nowMs + maxSkewMs)} (${formatAmzDate(nowMs)} + ${minutes} min.)`;
    throw refuse('skew', `Signature not yet current: ${claim.amzDate} is still later than ${latest}`);
  }
  if (claim.expiresSeconds === undefined) {
    if (signedMs >= nowMs - maxSkewMs) return;
    const earliest = `${formatAmzDate(nowMs - maxSkewMs)} (${formatAmzDate(nowMs)} - ${minutes} min.)`;
    throw refuse('skew', `Signature expired: ${claim.amzDate} is now earlier than ${earliest}`);
  }
  if (nowMs > signedMs + claim.expiresSeconds * 1000) throw refuse('expired', 'Request has expired');
}
