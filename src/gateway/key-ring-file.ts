// The durable form of the key ring: keys, newest first, and revocations, in one file, so that neither can be lost without the other.
import { z } from 'zod';
import { Fault } from '../lib/errors.ts';
import { readSmallFile } from '../lib/read-file.ts';
import { openSealed } from '../lib/sealed-json.ts';

/** A thousand keys and many thousand revocations. */
const maxFileBytes = 64 << 20;

const keySchema = z.strictObject({
  kid: z.string().min(1).max(64),
  /** 32 bytes, base64url. */
  secret: z.string().regex(/^[A-Za-z0-9_-]{43}$/),
  createdAtMs: z.number(),
});

const ringSchema = z.strictObject({
  format: z.literal(2),
  keys: z.array(keySchema).min(1),
  /** Raised by every revocation that takes back all that was minted before it. */
  sequence: z.number().int().min(0),
  /** Tokens of a smaller sequence are revoked, whatever MicroVM they open. */
  floor: z.number().int().min(0),
  /** `untilMs`: from then on every such token has expired. */
  revokedTokens: z.array(z.strictObject({ tokenId: z.string(), microvmId: z.string(), untilMs: z.number() })),
  /** Tokens of a smaller sequence than `floor` are revoked. */
  revokedMicrovms: z.array(z.strictObject({ microvmId: z.string(), floor: z.number().int(), untilMs: z.number() })),
});

/** As it was before there were revocations. */
const firstSchema = z
  .strictObject({ format: z.literal(1), current: keySchema, previous: keySchema.optional() })
  .transform(
    ({ current, previous }): KeyRingContent => ({ ...unrevoked, keys: previous ? [current, previous] : [current] }),
  );

export type KeyRingContent = z.output<typeof ringSchema>;
export type RingKey = z.output<typeof keySchema>;

/** A ring without keys in which nothing is revoked. */
export const unrevoked: KeyRingContent = {
  ...{ format: 2, keys: [], sequence: 0, floor: 0 },
  ...{ revokedTokens: [], revokedMicrovms: [] },
};

/** Undefined when there is no file. Rejects with `invalid_input` when it is damaged: making a new one silently would refuse every token that is out. */
export async function loadKeyRing(path: string): Promise<KeyRingContent | undefined> {
  const text = await readSmallFile(path, maxFileBytes);
  if (text === undefined) return undefined;
  try {
    return z.union([ringSchema, firstSchema]).parse(JSON.parse(openSealed(text)));
  } catch (cause) {
    const what = `The token keys in ${path} cannot be read. Restore the file, or remove it: every token that is out then becomes invalid.`;
    throw new Fault('invalid_input', { what }, cause);
  }
}
