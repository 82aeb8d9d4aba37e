// What tokens are judged by, as a thread of the gateway has it. A number in shared memory says which snapshot counts now: when a revocation has
// been answered, no thread judges by an older one, although the message with the new one may still be on its way.
import type { TokenClaims } from '../../contract/token-claims.ts';
import { HeldTrust, type TokenKey, type TokenTrust, type TrustSnapshot } from '../token-trust.ts';

/** Counts snapshots; one cell of 32 bits for all threads. */
export class TrustVersion {
  readonly buffer: SharedArrayBuffer;
  readonly #cell: Int32Array<SharedArrayBuffer>;

  constructor(buffer = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)) {
    this.buffer = buffer;
    this.#cell = new Int32Array(buffer);
  }

  get now(): number {
    return Atomics.load(this.#cell, 0);
  }

  /** To be called when the snapshot of this version has been sent to every thread. */
  set(version: number): void {
    Atomics.store(this.#cell, 0, version);
  }
}

export interface NumberedTrust {
  version: number;
  snapshot: TrustSnapshot;
}

export class FollowedTrust implements TokenTrust {
  readonly #held: HeldTrust;
  readonly #now: TrustVersion;
  readonly #catchUp: () => void;
  #version: number;

  /** `catchUp` takes what was sent but not yet taken. */
  constructor({ version, snapshot }: NumberedTrust, now: TrustVersion, catchUp: () => void) {
    this.#held = new HeldTrust(snapshot);
    this.#version = version;
    this.#now = now;
    this.#catchUp = catchUp;
  }

  replace({ version, snapshot }: NumberedTrust): void {
    this.#version = version;
    this.#held.replace(snapshot);
  }

  find(kid: string): TokenKey | undefined {
    this.#follow();
    return this.#held.find(kid);
  }

  isRevoked(claims: TokenClaims): boolean {
    this.#follow();
    return this.#held.isRevoked(claims);
  }

  onRevoked(listener: () => void): void {
    this.#held.onRevoked(listener);
  }

  #follow(): void {
    if (this.#now.now > this.#version) this.#catchUp();
  }
}
