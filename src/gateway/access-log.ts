// What is known of a request when it is over: one record for logs and metrics.
import type { StreamTarget } from '../contract/shell-frames.ts';
import type { Refusal } from './refusal.ts';

export interface AccessRecord {
  /** Wall clock, when the request's headers were there. */
  startedAtMs: number;
  /** The `x-amzn-requestid` that client and application saw. */
  requestId: string;
  /** Peer address of the client's connection. */
  clientAddress: string;
  protocol: 'HTTP/1.1' | 'HTTP/2';
  method: string;
  /** Without its query, which may carry secrets. */
  path: string;
  /** Undefined when the door did not learn it. */
  microvmId: string | undefined;
  target: StreamTarget | undefined;
  /** The token's own id (`jti`), by which it can be revoked. */
  tokenId: string | undefined;
  /** Undefined when the client left before it was answered. */
  status: number | undefined;
  /** Why the gateway answered by itself. */
  refusal: Refusal | undefined;
  /** `broken`: part of an answer went out. `switched`: a WebSocket, recorded when it is over. `left`: the client went before an answer. */
  end: 'answered' | 'refused' | 'switched' | 'broken' | 'left';
  /** Of bodies, or of a WebSocket's frames, without headers; of a shell, the frames to and from the guest. */
  bytesIn: number;
  bytesOut: number;
  /** From the headers of the request to the end of the answer. */
  durationMs: number;
  /** How long it was held until its MicroVM ran; 0 when it ran already. */
  wakeMs: number;
  /** From the headers of the request to those of the answer; undefined without an answer. */
  firstByteMs: number | undefined;
}

/** Called once for every request that reached the door. It must not throw, and it must be quick. */
export type OnAnswered = (record: AccessRecord) => void;
