// Connections to applications, kept alive per MicroVM, port and kind. Whoever takes or acquires one must release it.
import { Fault } from '../lib/errors.ts';
import type { UpstreamConnection } from './upstream-connection.ts';

/** `http2`: the client asked for it. `upgrade`: for a WebSocket handshake, which HTTP/1.1 has. */
export type Kind = 'ordinary' | 'http2' | 'upgrade';

export interface Place {
  microvmId: string;
  port: number;
  kind: Kind;
}

export interface PoolOptions {
  connect(place: Place, signal: AbortSignal): Promise<UpstreamConnection>;
  /** To one place; further requests wait. */
  maxConnections: number;
}

interface Lane {
  place: Place;
  /** Connections that take one more exchange; dead ones are skipped. */
  free: UpstreamConnection[];
  /** With the number of exchanges under way. */
  all: Map<UpstreamConnection, number>;
  connecting: number;
  waiting: Set<() => void>;
}

const checkEveryMs = 1_000;

export class UpstreamPool {
  readonly #options: PoolOptions;
  readonly #lanes = new Map<string, Lane>();
  #checking: NodeJS.Timeout | undefined;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** A connection that is there, if any: the way that costs nothing. */
  take(place: Place): UpstreamConnection | undefined {
    const lane = this.#lanes.get(key(place));
    return lane && takeFree(lane);
  }

  /** A kept connection, or a new one (always, when `fresh`). Rejects as `connect` does, or with `aborted`. */
  async acquire(place: Place, signal: AbortSignal, fresh = false): Promise<UpstreamConnection> {
    const lane = this.#lane(place);
    try {
      for (;;) {
        if (signal.aborted) throw new Fault('aborted', { what: 'The request' });
        const kept = fresh ? undefined : takeFree(lane);
        if (kept) return kept;
        if (this.#mayConnect(lane)) return await this.#connect(lane, signal);
        await turn(lane, signal);
      }
    } finally {
      this.#forgetIfUnused(lane);
    }
  }

  /** Gives a connection back; a dead one is forgotten by its own close. */
  release(place: Place, connection: UpstreamConnection): void {
    const lane = this.#lanes.get(key(place));
    const busy = lane?.all.get(connection);
    if (!lane || busy === undefined) return;
    lane.all.set(connection, busy - 1);
    if (!connection.isAlive) return;
    // One that was full is not among the free.
    if (busy === connection.capacity) lane.free.push(connection);
    wakeOne(lane);
  }

  /** Ends all connections to a MicroVM, those in use too. */
  drop(microvmId: string): void {
    for (const lane of [...this.#lanes.values()]) if (lane.place.microvmId === microvmId) end(lane);
  }

  close(): void {
    for (const lane of [...this.#lanes.values()]) end(lane);
  }

  /** Connections that exist, for tests and metrics. */
  get size(): number {
    return [...this.#lanes.values()].reduce((sum, lane) => sum + lane.all.size, 0);
  }

  #mayConnect({ place, all, connecting }: Lane): boolean {
    // One connection of HTTP/2 will do for all who wait.
    if (place.kind === 'http2' && connecting > 0) return false;
    return all.size + connecting < this.#options.maxConnections;
  }

  async #connect(lane: Lane, signal: AbortSignal): Promise<UpstreamConnection> {
    lane.connecting += 1;
    let connection: UpstreamConnection;
    try {
      connection = await this.#options.connect(lane.place, signal);
    } catch (error) {
      lane.connecting -= 1;
      wakeOne(lane);
      throw error;
    }
    lane.connecting -= 1;
    lane.all.set(connection, 1);
    if (connection.capacity > 1) lane.free.push(connection);
    for (let room = 1; room < connection.capacity; room++) wakeOne(lane);
    this.#checking ??= setInterval(() => this.#check(), checkEveryMs).unref();
    const forget = (): void => {
      lane.all.delete(connection);
      lane.free = lane.free.filter((other) => other !== connection);
      wakeOne(lane);
      this.#forgetIfUnused(lane);
    };
    // It may be gone before its caller has seen it; then its close has been told already.
    if (connection.duplex.closed) forget();
    else connection.duplex.once('close', forget);
    return connection;
  }

  #check(): void {
    for (const lane of this.#lanes.values()) for (const connection of lane.all.keys()) connection.check();
    if (this.#lanes.size > 0) return;
    clearInterval(this.#checking);
    this.#checking = undefined;
  }

  #lane(place: Place): Lane {
    const found = this.#lanes.get(key(place));
    if (found) return found;
    const lane: Lane = { place, free: [], all: new Map(), connecting: 0, waiting: new Set() };
    this.#lanes.set(key(place), lane);
    return lane;
  }

  #forgetIfUnused(lane: Lane): void {
    if (lane.all.size + lane.connecting + lane.waiting.size > 0) return;
    if (this.#lanes.get(key(lane.place)) === lane) this.#lanes.delete(key(lane.place));
  }
}

const key = ({ microvmId, port, kind }: Place): string => `${microvmId}:${port}:${kind}`;

function takeFree(lane: Lane): UpstreamConnection | undefined {
  for (;;) {
    const connection = lane.free.at(-1);
    if (!connection) return undefined;
    const busy = lane.all.get(connection);
    const usable = busy !== undefined && busy < connection.capacity && connection.isAlive;
    if (!usable || busy + 1 === connection.capacity) lane.free.pop();
    if (!usable) continue;
    lane.all.set(connection, busy + 1);
    return connection;
  }
}

function end(lane: Lane): void {
  const { microvmId } = lane.place;
  const gone = new Fault('vm_gone', { microvmId, why: 'it was suspended or has ended' });
  for (const connection of [...lane.all.keys()]) connection.destroy(gone);
}

function wakeOne(lane: Lane): void {
  const [first] = lane.waiting;
  if (!first) return;
  lane.waiting.delete(first);
  first();
}

/** Resolves when a connection may have become free. */
function turn(lane: Lane, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      lane.waiting.delete(done);
      resolve();
    };
    lane.waiting.add(done);
    signal.addEventListener('abort', done, { once: true });
  });
}
