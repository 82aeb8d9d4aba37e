// Endpoint tokens: JWE compact, `dir` with A256GCM, opaque to clients. Reference f.2.
import { randomUUID } from 'node:crypto';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import {
  type PortRange,
  type TokenClaims,
  type TokenMinter,
  type TokenOrder,
  type TokenRevoker,
  tokenClaimsSchema,
} from '../contract/token-claims.ts';
import { Fault } from '../lib/errors.ts';
import type { KeyRing } from './key-ring.ts';
import type { TokenTrust } from './token-trust.ts';
import { VerifiedTokens } from './verified-tokens.ts';

export interface TokenReader {
  /**
   * Claims of a token that opens this MicroVM now; undefined when it is absent, forged, expired, revoked, or for another one. At once, except for
   * a token that was not seen lately.
   */
  read(
    token: string | undefined,
    microvmId: string,
    nowMs: number,
  ): TokenClaims | undefined | Promise<TokenClaims | undefined>;
  /** Frees what is remembered of a MicroVM's tokens. */
  forget(microvmId: string): void;
}

export interface Tokens extends TokenReader, TokenMinter, TokenRevoker {
  readonly trust: TokenTrust;
}

/** Longest token looked at, and made; the AWS schema allows 8,000. */
const maxTokenCharacters = 8_000;

export const createTokens = (ring: KeyRing, verified?: VerifiedTokens): Tokens => ({
  ...createTokenReader(ring.trust, verified),
  trust: ring.trust,
  mint: (order) => mint(ring, order),
  claimsOf: async (token) => (token.length > maxTokenCharacters ? undefined : decrypt(ring.trust, token)),
  revokeToken: (...one) => ring.revokeToken(...one),
  revokeMicrovm: (microvmId) => ring.revokeMicrovm(microvmId),
  revokeEverything: () => ring.revokeEverything(),
  rotateKeys: () => ring.rotate(),
});

/** Reads tokens without being able to make any. */
export function createTokenReader(trust: TokenTrust, verified = new VerifiedTokens()): TokenReader {
  const holds = (claims: TokenClaims, microvmId: string, nowMs: number): boolean =>
    claims.microvmId === microvmId && nowMs < claims.exp * 1_000 && !trust.isRevoked(claims);
  const readFirst = async (token: string, microvmId: string, nowMs: number): Promise<TokenClaims | undefined> => {
    const claims = await decrypt(trust, token);
    if (!claims || !holds(claims, microvmId, nowMs)) return undefined;
    verified.add(token, claims);
    return claims;
  };
  return {
    read(token, microvmId, nowMs) {
      if (token === undefined || token.length > maxTokenCharacters) return undefined;
      const known = verified.get(microvmId, token);
      if (!known) return readFirst(token, microvmId, nowMs);
      if (holds(known, microvmId, nowMs)) return known;
      verified.delete(microvmId, token);
      return undefined;
    },
    forget: (microvmId) => verified.drop(microvmId),
  };
}

async function mint(ring: KeyRing, { expiresAtMs, ports, ...rest }: TokenOrder): Promise<string> {
  const { kid, secret, sequence } = ring.current();
  const claims = tokenClaimsSchema.safeParse({
    ...{ ...rest, sequence, ports: ports === 'all' ? ports : merged(ports) },
    ...{ exp: expiresAtMs / 1_000, jti: randomUUID() },
  });
  if (!claims.success) {
    const what = 'The ports or the MicroVM of the token are not valid.';
    throw new Fault('invalid_input', { what }, claims.error);
  }
  const token = await new CompactEncrypt(Buffer.from(JSON.stringify(claims.data)))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid })
    .encrypt(secret);
  if (token.length <= maxTokenCharacters) return token;
  const what = `The ports of the token make it longer than ${maxTokenCharacters} characters. Name fewer and wider ranges.`;
  throw new Fault('invalid_input', { what });
}

/** The same ports in as few ranges as there can be. */
function merged(ports: readonly PortRange[]): PortRange[] {
  const ranges: PortRange[] = [];
  for (const { start, end } of ports.toSorted((a, b) => a.start - b.start)) {
    const last = ranges.at(-1);
    if (last && start <= last.end + 1) last.end = Math.max(last.end, end);
    else ranges.push({ start, end });
  }
  return ranges;
}

/** True when the claims name `port`. */
export function allowsPort(claims: TokenClaims, port: number): boolean {
  return claims.ports === 'all' || claims.ports.some(({ start, end }) => start <= port && port <= end);
}

async function decrypt(trust: TokenTrust, token: string): Promise<TokenClaims | undefined> {
  try {
    const { kid } = decodeProtectedHeader(token);
    const key = kid === undefined ? undefined : trust.find(kid);
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
