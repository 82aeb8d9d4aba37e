// Pages of lists. A cursor is opaque, URL-safe, and good for one day and for the call that it came from: same account, operation and parameters.
import { createHmac, timingSafeEqual } from 'node:crypto';
import { readSecret } from '../store/secrets.ts';
import { invalid } from './caller-checks.ts';
import type { AppContext } from './context.ts';
import { canonical } from './idempotency.ts';
import type { Caller } from './settings.ts';

export const defaultPageSize = 50;

const lifetimeMs = 24 * 3_600_000;
const macBytes = 16;

/** One call that lists: who asks for what. */
export interface Listing {
  caller: Caller;
  operation: string;
  input: { nextToken?: string | undefined; maxResults?: number | undefined };
}

export interface Page<Row> {
  items: Row[];
  nextToken?: string;
}

/** How a list is read piece by piece, in an order that stays the same. */
export interface Pieces<Row, Position> {
  /** At most `limit` rows that come after this one. */
  read(after: Position | undefined, limit: number): Promise<Row[]>;
  positionOf(row: Row): Position;
}

/** Rejects with `invalid_input` for a cursor that is not one of this call's, or is too old. */
export async function readPage<Row, Position>(
  app: AppContext,
  listing: Listing,
  { read, positionOf }: Pieces<Row, Position>,
): Promise<Page<Row>> {
  const { nextToken, maxResults = defaultPageSize } = listing.input;
  const key = await keyOf(app, listing);
  // Only this code makes cursors of this operation, so that an authentic one holds a position of it.
  const after = nextToken === undefined ? undefined : (decode(nextToken, key, app.clock.now()) as Position);
  const rows = await read(after, maxResults + 1);
  const items = rows.slice(0, maxResults);
  const last = rows.length > maxResults ? items.at(-1) : undefined;
  if (last === undefined) return { items };
  return { items, nextToken: encode(positionOf(last), key, app.clock.now() + lifetimeMs) };
}

/** A page of a list that is short enough to be held whole, and that does not change its order. */
export async function pageOf<Row>(app: AppContext, listing: Listing, rows: readonly Row[]): Promise<Page<Row>> {
  const numbered = rows.map((row, index) => ({ row, index }));
  const { items, ...next } = await readPage(app, listing, {
    read: async (after: number | undefined, limit) => numbered.slice((after ?? -1) + 1).slice(0, limit),
    positionOf: ({ index }) => index,
  });
  return { items: items.map(({ row }) => row), ...next };
}

/** The key of this call's cursors: what was asked is part of it. */
async function keyOf(app: AppContext, { caller, operation, input }: Listing): Promise<Buffer> {
  const { nextToken: _token, maxResults: _size, ...query } = input;
  const scope = canonical({ form: 1, account: caller.account, operation, query });
  return createHmac('sha256', await readSecret(app.db, 'cursor'))
    .update(scope)
    .digest();
}

const macOf = (payload: Buffer, key: Buffer): Buffer =>
  createHmac('sha256', key).update(payload).digest().subarray(0, macBytes);

function encode(position: unknown, key: Buffer, expiresAtMs: number): string {
  const payload = Buffer.from(JSON.stringify([position, expiresAtMs]));
  return Buffer.concat([macOf(payload, key), payload]).toString('base64url');
}

function decode(token: string, key: Buffer, nowMs: number): unknown {
  const bytes = Buffer.from(token, 'base64url');
  const [mac, payload] = [bytes.subarray(0, macBytes), bytes.subarray(macBytes)];
  // Node skips what is not base64url; a token with such letters is not one that was given out.
  const isOurs = bytes.toString('base64url') === token && mac.length === macBytes;
  if (!isOurs || !timingSafeEqual(mac, macOf(payload, key))) {
    throw invalid('Invalid nextToken. Use the value of the previous answer, unchanged and with the same parameters.');
  }
  const [position, expiresAtMs] = JSON.parse(payload.toString('utf8')) as [unknown, number];
  if (nowMs >= expiresAtMs) throw invalid('The nextToken has expired. List again from the start.');
  return position;
}
