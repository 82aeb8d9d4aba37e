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
