// The keys that seal endpoint tokens, and the tokens that were taken back. Every change is on the disk before it is used.
import { randomBytes, randomUUID } from 'node:crypto';
import { dirname } from 'node:path';
import type { Clock, Timer } from '../lib/clock.ts';
import { makeDirectory, writeDurably } from '../lib/durable-file.ts';
import { describe, Fault } from '../lib/errors.ts';
import { type Log, silentLog } from '../lib/log.ts';
import { sealJson } from '../lib/sealed-json.ts';
import { type KeyRingContent, loadKeyRing, type RingKey, unrevoked } from './key-ring-file.ts';
import { HeldTrust, type TokenKey, type TokenTrust, type TrustSnapshot, trustIn } from './token-trust.ts';

export interface KeyRingOptions {
  /** Age at which the current key is replaced; default 30 days. */
  rotateAfterMs?: number;
  /** Longest life of a token; default 7 days. Keys and revocations are kept for as long. */
  maxTokenMs?: number;
  log?: Log;
}

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** How often it is looked whether a key is due, or something has lapsed. */
const lookEveryMs = hourMs;
const maxKeys = 1_000;
const maxRevokedTokensOfOne = 1_000;

export class KeyRing implements AsyncDisposable {
  /** What tokens are judged by; follows every change. */
  readonly trust: TokenTrust;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #options: Required<KeyRingOptions>;
  #content: KeyRingContent;
  readonly #held: HeldTrust;
  readonly #listeners: ((trust: TrustSnapshot) => void)[] = [];
  /** Changes are made one after the other. */
  #written: Promise<void> = Promise.resolve();
  #timer: Timer | undefined;
  #lapsedBefore: ReadonlySet<string> = new Set();

  /** Use `openKeyRing`. */
  constructor(path: string, clock: Clock, options: KeyRingOptions, content: KeyRingContent) {
    this.#path = path;
    this.#clock = clock;
    this.#options = { rotateAfterMs: 30 * dayMs, maxTokenMs: 7 * dayMs, log: silentLog, ...options };
    this.#content = content;
    this.#held = new HeldTrust(trustIn(content));
    this.trust = this.#held;
  }

  /** The key and the sequence of the next token. */
  current(): TokenKey & { sequence: number } {
    const { kid, secret } = newest(this.#content);
    return { kid, secret: Buffer.from(secret, 'base64url'), sequence: this.#content.sequence };
  }

  snapshot(): TrustSnapshot {
    return trustIn(this.#content);
  }

  /** Calls back with every change. */
  onChange(listener: (trust: TrustSnapshot) => void): void {
    this.#listeners.push(listener);
  }

  /** Makes a new current key. Tokens of those before stay valid until they expire. Rejects with `quota_exceeded`. */
  rotate(): Promise<void> {
    return this.#change((content) => {
      if (content.keys.length >= maxKeys) throw tooManyKeys();
      return { ...content, keys: [this.#newKey(), ...content.keys] };
    });
  }

  /** Makes a new current key and forgets all others. */
  revokeEverything(): Promise<void> {
    return this.#change(({ sequence }) => {
      const next = sequence + 1;
      return { ...unrevoked, keys: [this.#newKey()], sequence: next, floor: next };
    });
  }

  /** All tokens of a MicroVM that were minted before now. */
  revokeMicrovm(microvmId: string): Promise<void> {
    return this.#change((content) => {
      const sequence = content.sequence + 1;
      const others = content.revokedMicrovms.filter((one) => one.microvmId !== microvmId);
      return {
        ...content,
        sequence,
        revokedTokens: content.revokedTokens.filter((one) => one.microvmId !== microvmId),
        revokedMicrovms: [...others, { microvmId, floor: sequence, untilMs: this.#longest() }],
      };
    });
  }

  /** One token; `expiresAtMs` where it is known. Rejects with `quota_exceeded` after too many of one MicroVM. */
  revokeToken(microvmId: string, tokenId: string, expiresAtMs = this.#longest()): Promise<void> {
    return this.#change((content) => {
      const { revokedTokens } = content;
      if (revokedTokens.some((one) => one.tokenId === tokenId)) return content;
      const ofMicrovm = revokedTokens.filter((one) => one.microvmId === microvmId).length;
      if (ofMicrovm >= maxRevokedTokensOfOne) throw tooManyTokens(microvmId);
      return { ...content, revokedTokens: [...revokedTokens, { tokenId, microvmId, untilMs: expiresAtMs }] };
    });
  }

  /** Looks from now on, and once at once. */
  async start(): Promise<void> {
    await this.#look();
    const again = (): void => {
      this.#timer = this.#clock.after(lookEveryMs, () => {
        this.#look().then(again, (error: unknown) => {
          this.#options.log.error('token_keys.not_tended', { error: describe(error) });
          again();
        });
      });
    };
    again();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#timer?.cancel();
    await this.#written;
  }

  /**
   * Replaces a key that is due and drops what has lapsed. Only what had lapsed at the look before, too, is dropped: a clock that is wrong for
   * a while must not take valid tokens away, nor give revoked ones back.
   */
  async #look(): Promise<void> {
    const nowMs = this.#clock.now();
    const { rotateAfterMs, maxTokenMs, log } = this.#options;
    const lapsed = lapsedAt(this.#content, nowMs, maxTokenMs);
    const gone = new Set([...lapsed].filter((name) => this.#lapsedBefore.has(name)));
    this.#lapsedBefore = lapsed;
    if (gone.size > 0) await this.#change((content) => without(content, gone));
    // Whichever way the clock went: a key from far in the future is as much a stranger as an old one.
    if (Math.abs(nowMs - newest(this.#content).createdAtMs) < rotateAfterMs) return;
    await this.rotate();
    log.info('token_keys.rotated', { kid: newest(this.#content).kid, keys: this.#content.keys.length });
  }

  #change(decide: (content: KeyRingContent) => KeyRingContent): Promise<void> {
    const done = this.#written.then(async () => {
      const next = decide(this.#content);
      if (next === this.#content) return;
      await write(this.#path, next);
      this.#content = next;
      const trust = trustIn(next);
      this.#held.replace(trust);
      for (const listener of this.#listeners) listener(trust);
    });
    this.#written = done.catch(() => {});
    return done;
  }

  #newKey(): RingKey {
    return makeKey(this.#clock.now());
  }

  #longest(): number {
    return this.#clock.now() + this.#options.maxTokenMs;
  }
}

/** Opens the ring in `path`, or makes it, and tends it until it is disposed. Rejects as `loadKeyRing` does. */
export async function openKeyRing(path: string, clock: Clock, options: KeyRingOptions = {}): Promise<KeyRing> {
  let content = await loadKeyRing(path);
  if (!content) {
    content = { ...unrevoked, keys: [makeKey(clock.now())] };
    await write(path, content);
  }
  const ring = new KeyRing(path, clock, options, content);
  await ring.start();
  return ring;
}

async function write(path: string, content: KeyRingContent): Promise<void> {
  await makeDirectory(dirname(path));
  await writeDurably(path, sealJson(content));
}

const makeKey = (nowMs: number): RingKey => ({
  kid: randomUUID(),
  secret: randomBytes(32).toString('base64url'),
  createdAtMs: nowMs,
});

function newest({ keys }: KeyRingContent): RingKey {
  const [key] = keys;
  if (!key) throw new Fault('internal', { what: 'The key ring is empty.' });
  return key;
}

/** Names of what can concern no valid token any more: a key's tokens were minted before its successor was made. */
function lapsedAt({ keys, revokedTokens, revokedMicrovms }: KeyRingContent, nowMs: number, maxTokenMs: number) {
  const old = keys.filter((_, i) => nowMs >= (keys[i - 1]?.createdAtMs ?? Number.POSITIVE_INFINITY) + maxTokenMs);
  return new Set([
    ...old.map(({ kid }) => kid),
    ...revokedTokens.filter(({ untilMs }) => nowMs >= untilMs).map(({ tokenId }) => tokenId),
    ...revokedMicrovms.filter(({ untilMs }) => nowMs >= untilMs).map(({ microvmId }) => microvmId),
  ]);
}

const without = (content: KeyRingContent, gone: ReadonlySet<string>): KeyRingContent => ({
  ...content,
  keys: content.keys.filter(({ kid }) => !gone.has(kid)),
  revokedTokens: content.revokedTokens.filter(({ tokenId }) => !gone.has(tokenId)),
  revokedMicrovms: content.revokedMicrovms.filter(({ microvmId }) => !gone.has(microvmId)),
});

const tooManyKeys = (): Fault =>
  new Fault('quota_exceeded', {
    what: `There are ${maxKeys} keys with tokens that may still be valid. Wait until the oldest have lapsed, or revoke everything.`,
  });

const tooManyTokens = (microvmId: string): Fault =>
  new Fault('quota_exceeded', {
    what: `${maxRevokedTokensOfOne} tokens of MicroVM ${microvmId} are revoked one by one. Revoke all of its tokens instead.`,
  });
