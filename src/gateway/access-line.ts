// A record as one line of JSON. What strangers wrote (method, path) is reduced to visible ASCII, so that no line breaks and no terminal obeys.
import type { MicrovmOwner } from '../contract/data-plane.ts';
import type { AccessRecord } from './access-log.ts';

const maxPathCharacters = 2_048;
const maxMethodCharacters = 32;

/** Members that are not known are left out. Times are milliseconds; sizes are bytes of bodies. */
export function accessLine(record: AccessRecord, owner: MicrovmOwner | undefined): string {
  const { startedAtMs, requestId, clientAddress, protocol, method, path, microvmId, target, tokenId } = record;
  const { status, end, refusal, bytesIn, bytesOut, durationMs, wakeMs, firstByteMs } = record;
  // By hand, for there is one for every request: only what a stranger chose can need escapes.
  let line = `{"time":"${new Date(startedAtMs).toISOString()}","requestId":"${requestId}","clientAddress":"${clientAddress}"`;
  line += `,"protocol":"${protocol}","method":${JSON.stringify(visible(method, maxMethodCharacters))}`;
  line += `,"path":${JSON.stringify(visible(withoutQuery(path), maxPathCharacters))}`;
  if (microvmId !== undefined) line += `,"microvmId":"${microvmId}"`;
  if (owner) line += `,"account":"${owner.account}","imageArn":"${owner.imageArn}"`;
  if (target === 'shell') line += ',"shell":true';
  else if (target !== undefined) line += `,"port":${target}`;
  if (tokenId !== undefined) line += `,"tokenId":"${tokenId}"`;
  if (status !== undefined) line += `,"status":${status}`;
  line += `,"end":"${end}"`;
  if (refusal !== undefined) line += `,"refusal":"${refusal}"`;
  line += `,"bytesIn":${bytesIn},"bytesOut":${bytesOut},"durationMs":${rounded(durationMs)}`;
  if (wakeMs !== 0) line += `,"wakeMs":${rounded(wakeMs)}`;
  if (firstByteMs !== undefined) line += `,"firstByteMs":${rounded(firstByteMs)}`;
  return `${line}}`;
}

/** Microseconds are all that is meant. */
const rounded = (ms: number): number => Math.round(ms * 1_000) / 1_000;

/** A request target may have come in any form; what follows the first `?` or `#` may be secret. */
function withoutQuery(path: string): string {
  const at = path.search(/[?#]/);
  return at === -1 ? path : path.slice(0, at);
}

function visible(text: string, limit: number): string {
  const cut = text.length > limit ? `${text.slice(0, limit)}...` : text;
  return /^[\x21-\x7e]*$/.test(cut) ? cut : cut.toWellFormed().replace(/[^\x21-\x7e]/gu, encodeURIComponent);
}
