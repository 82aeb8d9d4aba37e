// Who signed a request of the control plane.
import type { Clock } from '../lib/clock.ts';
import { type KeyLookup, verify } from './sigv4/verify.ts';

/** A request as it came over the wire, its body read whole. */
export interface ReceivedRequest {
  method: string;
  rawPath: string;
  /** Without the `?`. */
  rawQuery: string;
  /** Names and values alternating. */
  rawHeaders: readonly string[];
  body: Buffer;
}

export interface Identity {
  account: string;
  accessKeyId: string;
  region: string;
}

/** Rejects with `access_denied`; the fact `awsError` names the AWS error where it is not AccessDeniedException. */
export type Authenticate = (request: ReceivedRequest) => Promise<Identity>;

/** Signature Version 4 for the service `lambda`. */
export const sigv4Authenticate =
  (keys: KeyLookup, options: { clock: Clock; regions: readonly string[] }): Authenticate =>
  (request) =>
    verify(request, keys, { ...options, services: ['lambda'] });
