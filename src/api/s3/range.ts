// The Range header of a read: one range of bytes.
// https://www.rfc-editor.org/rfc/rfc9110#section-14.1.2
import { s3Fault } from './error-table.ts';

/** Both ends inclusive. Undefined for no header, a unit or form that is not understood: then the whole is sent. */
export function parseRange(header: string | undefined, sizeBytes: number): { start: number; end: number } | undefined {
  const match = /^bytes=(?:([0-9]{1,15})-([0-9]{0,15})|-([0-9]{1,15}))$/.exec(header?.trim() ?? '');
  if (!match) return undefined;
  const [, from, to, suffix] = match;
  const start = from === undefined ? Math.max(0, sizeBytes - Number(suffix)) : Number(from);
  const end = to === undefined || to === '' ? sizeBytes - 1 : Math.min(Number(to), sizeBytes - 1);
  if (to && Number(to) < Number(from)) return undefined;
  if (start >= sizeBytes || Number(suffix) === 0) {
    throw s3Fault('InvalidRange', 'The requested range is not satisfiable');
  }
  return { start, end };
}
