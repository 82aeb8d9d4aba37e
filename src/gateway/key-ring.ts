// The keys that seal endpoint tokens: the current one and the one before, in a durable file that only its owner can read.
import { randomBytes, randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import { keep, readIfThere } from './kept-file.ts';

const keySchema = z.strictObject({
  kid: z.string().min(1).max(64),
  /** 32 bytes, base64url. */
  secret: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  createdAtMs: z.number(),
});
const ringSchema = z.strictObject({ format: z.literal(1), current: keySchema, previous: keySchema.optional() });
type Ring = z.infer<typeof ringSchema>;

export interface TokenKey {
  kid: string;
  secret: Buffer;
}

export interface KeyRing {
  current(): TokenKey;
  find(kid: string): TokenKey | undefined;
  /** All that are valid, the current one first. */
  keys(): TokenKey[];
  /** Calls back after each change of `keys`. */
  onChange(listener: () => void): void;
  /** Makes a new current key. Tokens of the one before stay valid, those of the one before that do not. */
  rotate(): Promise<void>;
}

/**
 * Opens the ring in `path`, or makes it. A current key older than `rotateAfterMs` is rotated; that must be longer than any token lives.
 * Rejects with `invalid_input` when the file is damaged: making a new one silently would refuse every token that is out.
 */
export async function openKeyRing(path: string, clock: Clock, rotateAfterMs = 30 * 86_400_000): Promise<KeyRing> {
  let ring = await load(path);
  const replace = async (previous?: Ring['current']): Promise<Ring> => {
    const secret = randomBytes(32).toString('base64url');
    const current = { kid: randomUUID(), secret, createdAtMs: clock.now() };
    const next: Ring = { format: 1, current, ...(previous ? { previous } : {}) };
    await keep(path, JSON.stringify(next), 0o600);
    return next;
  };
  ring ??= await replace();
  if (clock.now() - ring.current.createdAtMs >= rotateAfterMs) ring = await replace(ring.current);
  let state = ring;
  const listeners: (() => void)[] = [];
  const keys = (): TokenKey[] => [state.current, ...(state.previous ? [state.previous] : [])].map(opened);
  return {
    current: () => opened(state.current),
    find: (kid) => keys().find((key) => key.kid === kid),
    keys,
    onChange: (listener) => void listeners.push(listener),
    rotate: async () => {
      state = await replace(state.current);
      for (const listener of listeners) listener();
    },
  };
}

const opened = (key: Ring['current']): TokenKey => ({ kid: key.kid, secret: Buffer.from(key.secret, 'base64url') });

async function load(path: string): Promise<Ring | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return undefined;
  try {
    return ringSchema.parse(JSON.parse(text));
  } catch (cause) {
    const what = `The token keys in ${path} cannot be read. Restore the file, or remove it: every token that is out then becomes invalid.`;
    throw new Fault('invalid_input', { what }, cause);
  }
}
