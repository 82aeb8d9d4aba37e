// Taking endpoint tokens back before they expire, and new keys for them.
import { Fault } from '../lib/errors.ts';
import { invalid, requireMicrovm } from './caller-checks.ts';
import type { AppContext } from './context.ts';
import type { Caller } from './settings.ts';

/** One token, by itself or by its id; all of a MicroVM; or all there are. */
export type RevokeOrder =
  | { token: string }
  | { microvmId: string; tokenId: string }
  | { microvmId: string }
  | { everything: true };

export interface Revoked {
  microvmId?: string;
  tokenId?: string;
}

/** Resolves when new requests are refused and open streams are being cut, also after a crash. Revoking again is no error. */
export async function revokeTokens(app: AppContext, caller: Caller, order: RevokeOrder): Promise<Revoked> {
  if ('everything' in order) {
    requireServerAccount(app, caller);
    await app.tokens.revokeEverything();
    return {};
  }
  if ('token' in order) return revokeOne(app, caller, order.token);
  const { microvmId } = await requireMicrovm(app, caller, order.microvmId);
  if ('tokenId' in order) await app.tokens.revokeToken(microvmId, order.tokenId);
  else await app.tokens.revokeMicrovm(microvmId);
  return order;
}

async function revokeOne(app: AppContext, caller: Caller, token: string): Promise<Revoked> {
  const claims = await app.tokens.claimsOf(token);
  if (!claims) throw invalid('The token is none of this server, or its key is gone: it opens nothing.');
  const { microvmId } = await requireMicrovm(app, caller, claims.microvmId);
  const tokenId = claims.jti;
  await app.tokens.revokeToken(microvmId, tokenId, claims.exp * 1000);
  return { microvmId, tokenId };
}

export async function rotateTokenKeys(app: AppContext, caller: Caller): Promise<void> {
  requireServerAccount(app, caller);
  await app.tokens.rotateKeys();
}

/** What concerns all accounts is for the server's own. */
export function requireServerAccount({ settings }: AppContext, caller: Caller): void {
  if (caller.account === settings.account) return;
  const what = `Account ${caller.account} is not authorized: this concerns all accounts of the server. Use a key of account ${settings.account}.`;
  throw new Fault('access_denied', { what });
}
