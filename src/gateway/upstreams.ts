// How an application is reached: plain or TLS, HTTP/1.1 or HTTP/2. Reference f.5; docs/decisions/0012.
import type { Clock } from '../lib/clock.ts';
import { Fault } from '../lib/errors.ts';
import type { Dialer } from './dial.ts';
import type { GatewaySettings } from './settings.ts';
import type { UpstreamConnection } from './upstream-connection.ts';
import { Http1Connection } from './upstream-http1.ts';
import { openHttp2 } from './upstream-http2.ts';
import { type Place, UpstreamPool } from './upstream-pool.ts';
import { openTls, speaksTls } from './upstream-tls.ts';

/** Ports whose protocol is remembered; beyond that the oldest are asked anew. */
const maxRemembered = 10_000;

export interface UpstreamsOptions {
  dialer: Dialer;
  clock: Clock;
  settings: GatewaySettings;
}

export class Upstreams {
  readonly pool: UpstreamPool;
  readonly #options: UpstreamsOptions;
  /** By MicroVM and port, over its sleeps: does it speak TLS? */
  readonly #secure = new Map<string, boolean>();
  readonly #probes = new Map<string, Promise<boolean>>();

  constructor(options: UpstreamsOptions) {
    this.#options = options;
    this.pool = new UpstreamPool({
      connect: (place, signal) => this.#connect(place, signal),
      maxConnections: options.settings.upstreamMaxConnections,
    });
  }

  /** Whether the port speaks TLS; undefined as long as nobody knows. */
  isSecure({ microvmId, port }: Place): boolean | undefined {
    return this.#secure.get(`${microvmId}:${port}`);
  }

  /** `secure` undefined: it is not known any more. */
  learn({ microvmId, port }: Place, secure: boolean | undefined): void {
    const key = `${microvmId}:${port}`;
    if (secure === undefined) this.#secure.delete(key);
    else if (this.#secure.get(key) !== secure) {
      const [oldest] = this.#secure.keys();
      if (this.#secure.size >= maxRemembered && oldest !== undefined) this.#secure.delete(oldest);
      this.#secure.set(key, secure);
    }
  }

  /** Asks the port with a ClientHello, once however many wait. A port that says nothing counts as plain. Rejects as `Dialer.dial` does. */
  probe(place: Place, signal: AbortSignal): Promise<boolean> {
    const key = `${place.microvmId}:${place.port}`;
    let probe = this.#probes.get(key);
    if (!probe) {
      probe = this.#probe(place).finally(() => this.#probes.delete(key));
      this.#probes.set(key, probe);
    }
    return unlessAborted(probe, signal);
  }

  async #probe(place: Place): Promise<boolean> {
    const { dialer, clock, settings } = this.#options;
    const signal = new AbortController().signal;
    const verdict = await speaksTls(await dialer.dial(place.microvmId, place.port, signal), settings.probeMs, clock);
    this.learn(place, verdict);
    return verdict ?? false;
  }

  async #connect(place: Place, signal: AbortSignal): Promise<UpstreamConnection> {
    const { dialer, clock, settings } = this.#options;
    const { upstreamIdleMs: idleMs, connectTimeoutMs } = settings;
    const duplex = await dialer.dial(place.microvmId, place.port, signal);
    if (!this.isSecure(place)) {
      return place.kind === 'http2'
        ? openHttp2(duplex, idleMs, connectTimeoutMs, clock)
        : new Http1Connection(duplex, idleMs);
    }
    const protocols = { ordinary: ['h2', 'http/1.1'], http2: ['h2'], upgrade: ['http/1.1'] }[place.kind];
    const socket = await openTls(duplex, { servername: 'localhost', protocols }, connectTimeoutMs, clock).catch(
      (error: unknown) => {
        // It may speak something else now.
        this.learn(place, undefined);
        throw error;
      },
    );
    const isHttp2 = socket.alpnProtocol === 'h2' || place.kind === 'http2';
    return isHttp2 ? openHttp2(socket, idleMs, connectTimeoutMs, clock) : new Http1Connection(socket, idleMs);
  }
}

/** The work itself goes on when the wait is given up: others may wait for it. */
function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(new Fault('aborted', { what: 'The request' }));
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop));
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
}
