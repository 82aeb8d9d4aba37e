// Conditional reads. https://www.rfc-editor.org/rfc/rfc9110#section-13.2.2
import type { ObjectInfo } from '../../contract/object-store.ts';
import { header, type S3Call } from './call.ts';
import { s3Fault } from './error-table.ts';

/** True when the client already has what it asks for (304). Throws PreconditionFailed. */
export function isNotModified(call: S3Call, info: ObjectInfo): boolean {
  const modifiedMs = Math.floor(info.lastModifiedMs / 1000) * 1000;
  const ifMatch = header(call, 'if-match');
  const unmodifiedSince = dateMs(header(call, 'if-unmodified-since'));
  if (ifMatch !== undefined) {
    if (!matches(ifMatch, info.etag)) throw failed('If-Match');
  } else if (unmodifiedSince !== undefined && modifiedMs > unmodifiedSince) throw failed('If-Unmodified-Since');

  const ifNoneMatch = header(call, 'if-none-match');
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch, info.etag);
  const modifiedSince = dateMs(header(call, 'if-modified-since'));
  return modifiedSince !== undefined && modifiedMs <= modifiedSince;
}

/** Writes cannot be conditional: the store has no compare-and-set, and a check beforehand would be a race. */
export function refuseConditionalWrite(call: S3Call): void {
  const name = ['if-match', 'if-none-match'].find((each) => header(call, each) !== undefined);
  if (name) throw s3Fault('NotImplemented', `A write with the header ${name} is not implemented.`);
}

function matches(list: string, etag: string): boolean {
  const bare = etag.replaceAll('"', '');
  return list.split(',').some((each) => {
    const value = each.trim().replace(/^W\//, '').replaceAll('"', '');
    return value === '*' || value === bare;
  });
}

function dateMs(text: string | undefined): number | undefined {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? undefined : ms;
}

const failed = (condition: string): Error =>
  s3Fault('PreconditionFailed', `At least one of the pre-conditions you specified did not hold: ${condition}.`);
