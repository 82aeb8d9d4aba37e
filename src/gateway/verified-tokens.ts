// Tokens that were decrypted and found good, by their text, because decrypting for every request is dear. Bounded in memory; whoever brings the most
// tokens forgets his own first. The text is compared as it is: it is sealed with a key, so what was found before is no more than what the client sent.
import type { TokenClaims } from '../contract/token-claims.ts';

interface Entry {
  claims: TokenClaims;
  /** Was asked for since it was last considered for forgetting. */
  used: boolean;
}

/** Tokens of one MicroVM, oldest first. */
interface Share {
  entries: Map<string, Entry>;
  characters: number;
  /** Most requests bring the token of the one before; to compare it is cheaper than to look it up. */
  latest?: { token: string; entry: Entry };
}

export class VerifiedTokens {
  readonly #maxCharacters: number;
  readonly #shares = new Map<string, Share>();
  #characters = 0;

  constructor(maxCharacters = 16 << 20) {
    this.#maxCharacters = maxCharacters;
  }

  get(microvmId: string, token: string): TokenClaims | undefined {
    const share = this.#shares.get(microvmId);
    const entry = share?.latest?.token === token ? share.latest.entry : share?.entries.get(token);
    if (!share || !entry) return undefined;
    entry.used = true;
    share.latest = { token, entry };
    return entry.claims;
  }

  add(token: string, claims: TokenClaims): void {
    const share: Share = this.#shares.get(claims.microvmId) ?? { entries: new Map(), characters: 0 };
    if (share.entries.has(token)) return;
    this.#shares.set(claims.microvmId, share);
    share.entries.set(token, { claims, used: true });
    share.characters += token.length;
    this.#characters += token.length;
    while (this.#characters > this.#maxCharacters) this.#forgetOne();
  }

  delete(microvmId: string, token: string): void {
    const share = this.#shares.get(microvmId);
    if (!share?.entries.delete(token)) return;
    delete share.latest;
    share.characters -= token.length;
    this.#characters -= token.length;
    if (share.entries.size === 0) this.#shares.delete(microvmId);
  }

  /** Forgets all of a MicroVM; its tokens are decrypted again when they come. */
  drop(microvmId: string): void {
    this.#characters -= this.#shares.get(microvmId)?.characters ?? 0;
    this.#shares.delete(microvmId);
  }

  /** Of the largest share the oldest that was not used lately: a second chance for the others, in turn. */
  #forgetOne(): void {
    let [largest] = this.#shares;
    for (const share of this.#shares) if (!largest || share[1].characters > largest[1].characters) largest = share;
    if (!largest) return;
    const [microvmId, { entries }] = largest;
    for (const [token, entry] of entries) {
      if (!entry.used) {
        this.delete(microvmId, token);
        return;
      }
      entry.used = false;
      entries.delete(token);
      entries.set(token, entry);
    }
  }
}
