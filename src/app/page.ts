// Pagination: an opaque cursor in URL-safe base64.
import { invalid } from './caller-checks.ts';

export const defaultPageSize = 50;

export const encodeCursor = (position: unknown): string => Buffer.from(JSON.stringify(position)).toString('base64url');

/** Throws `invalid_input` for anything `accepts` does not recognise. */
export function decodeCursor<T>(
  token: string | undefined,
  accepts: (position: unknown) => position is T,
): T | undefined {
  if (token === undefined) return undefined;
  try {
    const position: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'));
    if (accepts(position)) return position;
  } catch {
    // Not one of ours; answered below.
  }
  throw invalid('Invalid nextToken. Use the value of the previous answer, unchanged.');
}

const isOffset = (position: unknown): position is number => Number.isSafeInteger(position) && Number(position) >= 0;

/** A page of a list that is short enough to be read whole. */
export function pageOf<T>(
  items: readonly T[],
  { nextToken, maxResults = defaultPageSize }: { nextToken?: string | undefined; maxResults?: number | undefined },
): { items: T[]; nextToken?: string } {
  const start = decodeCursor(nextToken, isOffset) ?? 0;
  const end = start + maxResults;
  return { items: items.slice(start, end), ...(end < items.length ? { nextToken: encodeCursor(end) } : {}) };
}
