// What decides whether a token holds, in memory and as plain data, so that it can be sent to wherever requests are answered.
import type { TokenClaims } from '../contract/token-claims.ts';
import type { KeyRingContent } from './key-ring-file.ts';

export interface TokenKey {
  kid: string;
  /** 32 bytes. */
  secret: Buffer;
}

/** A structured clone of it is the same. */
export interface TrustSnapshot {
  keys: { kid: string; secret: string }[];
  floor: number;
  revokedTokens: string[];
  revokedMicrovms: [microvmId: string, floor: number][];
}

export interface TokenTrust {
  find(kid: string): TokenKey | undefined;
  isRevoked(claims: TokenClaims): boolean;
  /** Calls back when something was revoked. */
  onRevoked(listener: () => void): void;
}

export const trustIn = ({ keys, floor, revokedTokens, revokedMicrovms }: KeyRingContent): TrustSnapshot => ({
  keys: keys.map(({ kid, secret }) => ({ kid, secret })),
  floor,
  revokedTokens: revokedTokens.map(({ tokenId }) => tokenId),
  revokedMicrovms: revokedMicrovms.map(({ microvmId, floor: own }) => [microvmId, own]),
});

/** Follows a key ring, snapshot by snapshot. */
export class HeldTrust implements TokenTrust {
  #keys = new Map<string, TokenKey>();
  #floor = 0;
  #tokens = new Set<string>();
  #microvms = new Map<string, number>();
  readonly #listeners: (() => void)[] = [];

  constructor(snapshot: TrustSnapshot) {
    this.replace(snapshot);
  }

  /** Takes effect at once. */
  replace({ keys, floor, revokedTokens, revokedMicrovms }: TrustSnapshot): void {
    this.#keys = new Map(keys.map(({ kid, secret }) => [kid, { kid, secret: Buffer.from(secret, 'base64url') }]));
    this.#floor = floor;
    this.#tokens = new Set(revokedTokens);
    this.#microvms = new Map(revokedMicrovms);
    for (const listener of this.#listeners) listener();
  }

  find(kid: string): TokenKey | undefined {
    return this.#keys.get(kid);
  }

  isRevoked({ sequence, jti, microvmId }: TokenClaims): boolean {
    if (sequence < this.#floor || this.#tokens.has(jti)) return true;
    const floor = this.#microvms.get(microvmId);
    return floor !== undefined && sequence < floor;
  }

  onRevoked(listener: () => void): void {
    this.#listeners.push(listener);
  }
}
