// Endpoint tokens: JWE compact, `dir` with A256GCM, opaque to clients. Reference f.2.
import { randomUUID } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { type TokenClaims, type TokenMinter, tokenClaimsSchema } from '../contract/token-claims.ts';
import { Fault } from '../lib/errors.ts';
import type { KeyRing } from './key-ring.ts';

export type TokenVerdict = 'ok' | 'missing' | 'port denied';

export interface Tokens extends TokenMinter {
  /** Claims of a token that opens this MicroVM now; undefined when it is absent, forged, expired, or for another one. At once for one seen before. */
  read(
    token: string | undefined,
    microvmId: string,
    nowMs: number,
  ): TokenClaims | undefined | Promise<TokenClaims | undefined>;
  verify(token: string | undefined, microvmId: string, port: number, nowMs: number): Promise<TokenVerdict>;
}

/** Longest token looked at; the AWS schema allows 8,000. */
const maxTokenCharacters = 8_000;

/** Tokens over a key ring. `cacheEntries` verified ones are remembered, because decrypting for every request is dear. */
export function createTokens(ring: KeyRing, cacheEntries = 10_000): Tokens {
  const verified = new Map<string, TokenClaims>();

  const decryptOnce = async (token: string): Promise<TokenClaims | undefined> => {
    const claims = await decrypt(ring, token);
    if (!claims) return undefined;
    const [oldest] = verified.keys();
    if (verified.size >= cacheEntries && oldest !== undefined) verified.delete(oldest);
    verified.set(token, claims);
    return claims;
  };

  const read: Tokens['read'] = (token, microvmId, nowMs) => {
    if (token === undefined || token.length > maxTokenCharacters) return undefined;
    const fits = (claims: TokenClaims | undefined): TokenClaims | undefined =>
      claims && claims.microvmId === microvmId && nowMs < claims.exp * 1_000 ? claims : undefined;
    const known = verified.get(token);
    return known ? fits(known) : decryptOnce(token).then(fits);
  };

  return {
    read,
    verify: async (token, microvmId, port, nowMs) => {
      const claims = await read(token, microvmId, nowMs);
      if (!claims) return 'missing';
      return allowsPort(claims, port) ? 'ok' : 'port denied';
    },
    mint: async (order) => {
      const { expiresAtMs, ...rest } = order;
      const claims = tokenClaimsSchema.safeParse({ ...rest, exp: expiresAtMs / 1_000, jti: randomUUID() });
      if (!claims.success)
        throw new Fault(
          'invalid_input',
          { what: 'The ports or the MicroVM of the token are not valid.' },
          claims.error,
        );
      const { kid, secret } = ring.current();
      return new CompactEncrypt(Buffer.from(JSON.stringify(claims.data)))
        .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid })
        .encrypt(secret);
    },
  };
}

/** True when the claims name `port`. */
export function allowsPort(claims: TokenClaims, port: number): boolean {
  return claims.ports === 'all' || claims.ports.some(({ start, end }) => start <= port && port <= end);
}

async function decrypt(ring: KeyRing, token: string): Promise<TokenClaims | undefined> {
  try {
    const { kid } = decodeProtectedHeader(token);
    const key = kid === undefined ? undefined : ring.find(kid);
    if (!key) return undefined;
    const { plaintext } = await compactDecrypt(token, key.secret, {
      keyManagementAlgorithms: ['dir'],
      contentEncryptionAlgorithms: ['A256GCM'],
    });
    return tokenClaimsSchema.parse(JSON.parse(Buffer.from(plaintext).toString('utf8')));
  } catch {
    // Whatever is wrong with it, the client sent no token of ours.
    return undefined;
  }
}
