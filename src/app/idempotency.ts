// Client tokens: the same token with the same parameters is the same call; with others it is a mistake.
import { createHash } from 'node:crypto';
import { Fault } from '../lib/errors.ts';
import { findIdempotency, insertIdempotency } from '../store/idempotency.ts';
import type { Database } from '../store/tables.ts';
import type { AppContext } from './context.ts';
import type { Caller } from './settings.ts';

/** JSON with sorted keys, so that equal parameters are equal text. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`)
    .join(',')}}`;
}

/**
 * Runs `create` inside a transaction unless the token of `input` was used before; resolves with the name of what was
 * created, now or then. Rejects with `conflict` when the token came with other parameters.
 */
export function once(
  app: AppContext,
  caller: Caller,
  operation: string,
  input: { clientToken?: string | undefined },
  create: (trx: Database) => Promise<string>,
): Promise<{ resource: string; replayed: boolean }> {
  const { clientToken: token, ...parameters } = input;
  const fingerprint = createHash('sha256').update(canonical(parameters)).digest('hex');
  return app.db.transaction().execute(async (trx) => {
    const key = { account: caller.account, operation, token: token ?? '' };
    const before = token === undefined ? undefined : await findIdempotency(trx, key);
    if (before && before.fingerprint !== fingerprint) {
      const what = `The client token ${token} was used for another ${operation} with different parameters. Use a new token.`;
      throw new Fault('conflict', { what, resourceId: before.resource });
    }
    if (before) return { resource: before.resource, replayed: true };
    const resource = await create(trx);
    if (token !== undefined) {
      await insertIdempotency(trx, { ...key, fingerprint, resource, createdAtMs: app.clock.now() });
    }
    return { resource, replayed: false };
  });
}
