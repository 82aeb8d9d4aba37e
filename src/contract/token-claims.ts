// What an endpoint token says: which MicroVM, which ports or the shell, until when. Minted by the control plane, read by the gateway. Reference f.2.
import { z } from 'zod';

const port = z.number().int().min(1).max(65_535);

/** Ports of the application; both ends inclusive. */
export interface PortRange {
  start: number;
  end: number;
}

export const tokenClaimsSchema = z.strictObject({
  microvmId: z.string().min(1).max(256),
  /** Host name of the endpoint, lower case; when present the token opens no other host. */
  host: z.string().min(1).max(255).optional(),
  ports: z.union([z.literal('all'), z.array(z.strictObject({ start: port, end: port })).max(1_000)]),
  /** Opens the shell; such a token opens no port of the application. */
  shell: z.literal(true).optional(),
  /** Seconds since the epoch, as in RFC 7519. */
  exp: z.number().finite(),
  jti: z.string().min(1).max(128),
  /** How many revocations the server knew when it was minted: a later one of its MicroVM, or of everything, takes it back. */
  sequence: z.number().int().min(0).default(0),
});

export type TokenClaims = z.infer<typeof tokenClaimsSchema>;

export interface TokenOrder {
  microvmId: string;
  host?: string | undefined;
  ports: 'all' | readonly PortRange[];
  shell?: true;
  expiresAtMs: number;
}

/** What the control plane needs for CreateMicrovmAuthToken. */
export interface TokenMinter {
  /** An opaque token: JWE compact serialization. */
  mint(order: TokenOrder): Promise<string>;
}

/** How tokens are taken back before they expire. What it resolves for holds for new requests and open streams, and survives a crash. */
export interface TokenRevoker {
  /** What a token of this server says, whether or not it still holds; undefined for anything else. */
  claimsOf(token: string): Promise<TokenClaims | undefined>;
  /** One token by its id (`jti`), until it expires; where that is not known, for as long as any token may live. Rejects with `quota_exceeded`. */
  revokeToken(microvmId: string, tokenId: string, expiresAtMs?: number): Promise<void>;
  /** All tokens of a MicroVM that were minted before now. */
  revokeMicrovm(microvmId: string): Promise<void>;
  /** All tokens of all MicroVMs, and the keys that sealed them. */
  revokeEverything(): Promise<void>;
  /** Seals new tokens with a new key; what is out stays valid. Rejects with `quota_exceeded` when that was done too often. */
  rotateKeys(): Promise<void>;
}
