// Connections to applications, kept alive per MicroVM and port. Whoever acquires one must release it.
import type { Duplex } from 'node:stream';
import { Fault } from '../lib/errors.ts';
import { UpstreamConnection } from './upstream-connection.ts';

export interface PoolOptions {
  dial(microvmId: string, port: number, signal: AbortSignal): Promise<Duplex>;
  idleMs: number;
  /** To one port of one MicroVM; further requests wait. */
  maxConnections: number;
}

/** One port of one MicroVM. */
interface Lane {
  microvmId: string;
  port: number;
  idle: UpstreamConnection[];
  all: Set<UpstreamConnection>;
  dialling: number;
  waiting: Set<() => void>;
}

export class UpstreamPool {
  readonly #options: PoolOptions;
  readonly #lanes = new Map<string, Lane>();

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** An idle connection, or a new one (always, when `fresh`). Rejects as `dial` does, or with `aborted`. */
  async acquire(microvmId: string, port: number, signal: AbortSignal, fresh = false): Promise<UpstreamConnection> {
    const lane = this.#lane(microvmId, port);
    try {
      for (;;) {
        if (signal.aborted) throw new Fault('aborted', { what: 'The request' });
        const kept = fresh ? undefined : takeAlive(lane);
        if (kept) return kept;
        if (lane.all.size + lane.dialling < this.#options.maxConnections) return await this.#connect(lane, signal);
        await turn(lane, signal);
      }
    } finally {
      this.#forgetIfUnused(lane);
    }
  }

  /** Gives a connection back; a dead one is forgotten by its own close. */
  release(microvmId: string, port: number, connection: UpstreamConnection): void {
    const lane = this.#lanes.get(key(microvmId, port));
    if (!lane?.all.has(connection) || !connection.alive) return;
    lane.idle.push(connection);
    wakeOne(lane);
  }

  /** Ends all connections to a MicroVM, those in use too. */
  drop(microvmId: string): void {
    for (const lane of [...this.#lanes.values()]) if (lane.microvmId === microvmId) end(lane);
  }

  close(): void {
    for (const lane of [...this.#lanes.values()]) end(lane);
  }

  /** Connections that exist, for tests and metrics. */
  get size(): number {
    return [...this.#lanes.values()].reduce((sum, lane) => sum + lane.all.size, 0);
  }

  async #connect(lane: Lane, signal: AbortSignal): Promise<UpstreamConnection> {
    lane.dialling += 1;
    let duplex: Duplex;
    try {
      duplex = await this.#options.dial(lane.microvmId, lane.port, signal);
    } catch (error) {
      lane.dialling -= 1;
      wakeOne(lane);
      throw error;
    }
    lane.dialling -= 1;
    const connection = new UpstreamConnection(duplex, this.#options.idleMs);
    lane.all.add(connection);
    duplex.once('close', () => {
      lane.all.delete(connection);
      lane.idle = lane.idle.filter((other) => other !== connection);
      wakeOne(lane);
      this.#forgetIfUnused(lane);
    });
    return connection;
  }

  #lane(microvmId: string, port: number): Lane {
    const found = this.#lanes.get(key(microvmId, port));
    if (found) return found;
    const lane: Lane = { microvmId, port, idle: [], all: new Set(), dialling: 0, waiting: new Set() };
    this.#lanes.set(key(microvmId, port), lane);
    return lane;
  }

  #forgetIfUnused(lane: Lane): void {
    if (lane.all.size + lane.dialling + lane.waiting.size > 0) return;
    if (this.#lanes.get(key(lane.microvmId, lane.port)) === lane) this.#lanes.delete(key(lane.microvmId, lane.port));
  }
}

const key = (microvmId: string, port: number): string => `${microvmId}:${port}`;

function takeAlive(lane: Lane): UpstreamConnection | undefined {
  for (;;) {
    const connection = lane.idle.pop();
    if (!connection || connection.alive) return connection;
  }
}

function end(lane: Lane): void {
  const gone = new Fault('vm_gone', { microvmId: lane.microvmId, why: 'it was suspended or has ended' });
  for (const connection of [...lane.all]) connection.destroy(gone);
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
