// Who was let in and is still there: requests and WebSockets under way, with the token that let them in. When it is revoked they are cut.

import type { TokenClaims } from '../contract/token-claims.ts';
import type { OpenNow } from '../contract/traffic.ts';
import type { TokenTrust } from './token-trust.ts';

export class Admitted {
  readonly #open = new Set<Entry>();

  constructor(trust: TokenTrust) {
    trust.onRevoked(() => {
      for (const entry of [...this.#open]) if (trust.isRevoked(entry.claims)) entry.cut();
    });
  }

  /** `cut` ends it at once; afterwards, as in every other case, whoever entered calls `end`. */
  enter(claims: TokenClaims, cut: () => void): Entry {
    const entry = new Entry(this.#open, claims, cut);
    this.#open.add(entry);
    return entry;
  }

  /** By MicroVM; none that has nothing open. */
  openNow(): Map<string, OpenNow> {
    const now = new Map<string, OpenNow>();
    for (const { claims, kind } of this.#open) {
      const of = now.get(claims.microvmId) ?? { requests: 0, webSockets: 0 };
      of[kind] += 1;
      now.set(claims.microvmId, of);
    }
    return now;
  }
}

export class Entry {
  readonly claims: TokenClaims;
  readonly cut: () => void;
  /** A request, until it is switched. */
  kind: keyof OpenNow = 'requests';
  readonly #among: Set<Entry>;

  /** Use `Admitted.enter`. */
  constructor(among: Set<Entry>, claims: TokenClaims, cut: () => void) {
    this.#among = among;
    this.claims = claims;
    this.cut = cut;
  }

  /** Idempotent. */
  end(): void {
    this.#among.delete(this);
  }
}
