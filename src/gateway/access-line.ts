// A record as one line of JSON. What strangers wrote (method, path) is reduced to visible ASCII, so that no line breaks and no terminal obeys.
import type { MicrovmOwner } from '../contract/data-plane.ts';
import type { AccessRecord } from './access-log.ts';

const maxPathCharacters = 2_048;
const maxMethodCharacters = 32;

/** Members that are not known are left out. Times are milliseconds; sizes are bytes of bodies. */
export function accessLine(record: AccessRecord, owner: MicrovmOwner | undefined): string {
  const { startedAtMs, requestId, clientAddress, protocol, method, path, microvmId, target, tokenId } = record;
  const { status, end, refusal, bytesIn, bytesOut, durationMs, wakeMs, firstByteMs } = record;
  return JSON.stringify({
    time: new Date(startedAtMs).toISOString(),
    requestId,
    clientAddress,
    protocol,
    method: visible(method, maxMethodCharacters),
    path: visible(withoutQuery(path), maxPathCharacters),
    microvmId,
    account: owner?.account,
    imageArn: owner?.imageArn,
    port: typeof target === 'number' ? target : undefined,
    shell: target === 'shell' ? true : undefined,
    tokenId,
    status,
    end,
    refusal,
    bytesIn,
    bytesOut,
    durationMs: rounded(durationMs),
    wakeMs: wakeMs === 0 ? undefined : rounded(wakeMs),
    firstByteMs: firstByteMs === undefined ? undefined : rounded(firstByteMs),
  });
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
