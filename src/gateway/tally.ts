// What one request comes to: the figures of its access record, gathered while it is under way.
import type { AccessRecord } from './access-log.ts';
import type { Admission } from './admit.ts';
import type { ClientStream } from './client-stream.ts';
import type { Refusal } from './refusal.ts';
import type { Tunnel } from './tunnel.ts';

export class Tally {
  admission: Admission | undefined;
  /** Of the answer; undefined before it has begun. */
  status: number | undefined;
  refusal: Refusal | undefined;
  isBroken = false;
  /** After the switch to a WebSocket, whose bytes it counts. */
  tunnel: Tunnel | undefined;
  bytesIn = 0;
  bytesOut = 0;
  /** Signs of a WebSocket's client that do not reach the other side. */
  touches = 0;
  wakeMs = 0;
  readonly #startedAtMs: number;
  readonly #startedAt = performance.now();
  #firstByteMs: number | undefined;

  constructor(startedAtMs: number) {
    this.#startedAtMs = startedAtMs;
  }

  answered(status: number): void {
    this.status = status;
    this.#firstByteMs = performance.now() - this.#startedAt;
  }

  /** Changes with every byte. */
  get progress(): number {
    const { bytesIn, bytesOut } = this.tunnel ?? this;
    return bytesIn + bytesOut + this.touches + (this.status ?? 0);
  }

  record(requestId: string, client: ClientStream): AccessRecord {
    const { admission, status, refusal, wakeMs } = this;
    const { bytesIn, bytesOut } = this.tunnel ?? this;
    const query = client.path.indexOf('?');
    return {
      startedAtMs: this.#startedAtMs,
      requestId,
      clientAddress: client.clientAddress,
      protocol: client.protocol,
      method: client.method,
      path: query < 0 ? client.path : client.path.slice(0, query),
      microvmId: admission?.microvmId,
      target: admission?.target,
      tokenId: admission?.claims.jti,
      status,
      refusal,
      end: this.#howItEnded(client),
      bytesIn,
      bytesOut,
      durationMs: performance.now() - this.#startedAt,
      wakeMs,
      firstByteMs: this.#firstByteMs,
    };
  }

  #howItEnded(client: ClientStream): AccessRecord['end'] {
    if (this.tunnel) return 'switched';
    if (this.refusal) return 'refused';
    if (this.status === undefined) return 'left';
    return this.isBroken || !client.isAnswered ? 'broken' : 'answered';
  }
}
