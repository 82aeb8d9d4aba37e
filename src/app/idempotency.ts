// Client tokens: the same token with the same parameters is the same call; with others it is a mistake.
import { createHash } from 'node:crypto';
import { Fault } from '../lib/errors.ts';
import { findIdempotency, putIdempotency } from '../store/idempotency.ts';
import type { Database } from '../store/tables.ts';
import type { AppContext } from './context.ts';
import type { Caller } from './settings.ts';

/** JSON with sorted keys, so that equal parameters are equal text. */
export function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${entries
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${canonical(member)}`)
    .join(',')}}`;
}

interface WithToken {
  clientToken?: string | undefined;
}

const fingerprintOf = ({ clientToken: _token, ...parameters }: WithToken): string =>
  createHash('sha256').update(canonical(parameters)).digest('hex');

/** What a client token is for. */
export interface TokenUse {
  operation: string;
  /** Whether what a token created is still there. A token whose creation is gone may be used anew. */
  exists(db: Database, resource: string): Promise<boolean>;
}

/** What an earlier call with this token created. Rejects with `conflict` when that call had other parameters. */
export async function replayed(
  db: Database,
  caller: Caller,
  { operation, exists }: TokenUse,
  input: WithToken,
): Promise<string | undefined> {
  const { clientToken: token } = input;
  if (token === undefined) return undefined;
  const before = await findIdempotency(db, { account: caller.account, operation, token });
  if (!before || !(await exists(db, before.resource))) return undefined;
  if (before.fingerprint === fingerprintOf(input)) return before.resource;
  const what = `The client token ${token} was used for another ${operation} with different parameters. Use a new token.`;
  throw new Fault('conflict', { what, resourceId: before.resource });
}

/**
 * Runs `create` in a transaction, unless a call with the same token was faster. Resolves with the name of what was
 * created, now or then. Rejects as `replayed` does.
 */
export function once(
  app: AppContext,
  caller: Caller,
  use: TokenUse,
  input: WithToken,
  create: (trx: Database) => Promise<string>,
): Promise<{ resource: string; isNew: boolean }> {
  return app.db.transaction().execute(async (trx) => {
    const before = await replayed(trx, caller, use, input);
    if (before !== undefined) return { resource: before, isNew: false };
    const resource = await create(trx);
    const { clientToken: token } = input;
    if (token !== undefined) {
      const key = { account: caller.account, operation: use.operation, token };
      const fingerprint = fingerprintOf(input);
      await putIdempotency(trx, { ...key, fingerprint, resource, createdAtMs: app.clock.now() });
    }
    return { resource, isNew: true };
  });
}
