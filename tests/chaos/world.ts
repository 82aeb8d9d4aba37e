// The server under test with its clients, and everything that was asked of it.
import { LambdaMicrovms } from '@aws-sdk/client-lambda-microvms';
import { S3 } from '@aws-sdk/client-s3';
import { pause } from '../../src/lib/deadline.ts';
import type { Findings } from './findings.ts';
import { is, newEntry, type VmEntry } from './ledger.ts';
import type { ActKind, PlannedAct } from './plan.ts';
import type { RunningProcess, ServerPlace } from './server-process.ts';

export interface ImageEntry {
  name: string;
  clientToken: string;
  imageArn: string;
  acknowledged: boolean;
  /** Kills while it was being built. */
  interrupted: number;
  deletion: 'no' | 'asked' | 'acknowledged';
  /** Undefined while it is being built. */
  end?: 'SUCCESSFUL' | 'FAILED' | 'GONE';
}

export interface Clients {
  lambda: LambdaMicrovms;
  s3: S3;
}

export const bucket = 'chaos';
export const baseImage = 'chaos-base';

export class World {
  readonly findings: Findings;
  /** The MicroVM of each place; every launch makes a new one. */
  readonly places: VmEntry[] = [];
  /** Every MicroVM that was ever asked for. */
  readonly all: VmEntry[] = [];
  readonly images: ImageEntry[] = [];
  readonly underway = new Set<PlannedAct>();
  /** Acknowledged values beside MicroVMs: a tag of the image, an object. */
  readonly small = { asked: 0, tag: 0, object: 0 };
  archive: Buffer = Buffer.alloc(0);
  baseArn = '';
  /** A fault makes calls fail that would succeed otherwise. */
  readonly mayFail: boolean;
  readonly seed: number;
  readonly place: ServerPlace;
  /** Servers that were started. */
  starts = 0;
  /** Milliseconds between the server's clock and ours. */
  clockOffset: () => number = () => 0;
  readonly clockSteps: boolean;
  /** Resolves when a request may be signed. */
  steady: () => Promise<void> = async () => {};
  server: RunningProcess | undefined;
  clients: Clients | undefined;
  /** Fires after the kill of a round: what was asked then is in doubt. */
  killed = new AbortController();
  /** The server is being killed: connections break. */
  isDying = false;
  #lastMark = 0;

  constructor(options: {
    seed: number;
    vms: number;
    mayFail: boolean;
    clockSteps: boolean;
    place: ServerPlace;
    findings: Findings;
  }) {
    this.seed = options.seed;
    this.mayFail = options.mayFail;
    this.findings = options.findings;
    this.clockSteps = options.clockSteps;
    this.place = options.place;
    for (let i = 0; i < options.vms; i++) this.places.push(newEntry(''));
  }

  get running(): RunningProcess {
    if (!this.server) throw new Error('The server is not running.');
    return this.server;
  }

  get lambda(): LambdaMicrovms {
    return this.#clients.lambda;
  }

  get s3(): S3 {
    return this.#clients.s3;
  }

  get #clients(): Clients {
    if (!this.clients) throw new Error('There is no client yet.');
    return this.clients;
  }

  entry(place: number | undefined): VmEntry {
    const found = this.places[place ?? -1];
    if (!found) throw new Error(`There is no place ${place}.`);
    return found;
  }

  /** A number that no mark had before. */
  nextMark(): number {
    this.#lastMark += 1;
    return this.#lastMark;
  }

  newVm(place: number): VmEntry {
    const made = newEntry(`chaos-${this.seed}-${this.all.length}`);
    this.places[place] = made;
    this.all.push(made);
    return made;
  }

  connect(process: RunningProcess): void {
    this.server = process;
    void process.gone.then(({ code, signal }) => {
      if (process.shouldLive) this.findings.add('broken', `the server ended by itself with ${code ?? signal}`);
    });
    if (this.clients) return;
    const { apiUrl, region, accessKeyId, secretAccessKey } = process.facts;
    const credentials = { accessKeyId, secretAccessKey };
    // A kept connection that the server closes for its idleness just then is tried anew, as every client does.
    const config = { endpoint: apiUrl, region, credentials, maxAttempts: 2 };
    const clients = { lambda: new LambdaMicrovms(config), s3: new S3({ ...config, forcePathStyle: true }) };
    // They would correct the time that they sign with by the machine's clock, which is not the server's.
    const { lambda, s3 } = clients;
    const correct = async (): Promise<void> => {
      await this.steady();
      for (const { config } of [lambda, s3]) config.systemClockOffset = this.clockOffset();
    };
    const step = { step: 'build' } as const;
    lambda.middlewareStack.add(
      (next) => async (args) => {
        await correct();
        return next(args);
      },
      step,
    );
    s3.middlewareStack.add(
      (next) => async (args) => {
        await correct();
        return next(args);
      },
      step,
    );
    this.clients = clients;
  }
}

/** Asks until `look` finds something. Rejects at the deadline, or when `signal` fires. */
export async function until<T>(
  what: string,
  look: () => Promise<T | undefined>,
  options: { ms?: number; signal?: AbortSignal; everyMs?: number } = {},
): Promise<T> {
  const { ms = 60_000, signal, everyMs = 25 } = options;
  const end = performance.now() + ms;
  for (;;) {
    signal?.throwIfAborted();
    const found = await look();
    if (found !== undefined) return found;
    if (performance.now() > end) throw new Error(`${what} did not happen within ${ms} ms`);
    await pause(everyMs);
  }
}

export const runs = (entry: VmEntry): boolean => is(entry, 'RUNNING');
export const sleeps = (entry: VmEntry): boolean => is(entry, 'SUSPENDED');

/** How many acts of each kind are under way. */
export function countActs(acts: Iterable<PlannedAct>): Record<ActKind, number> {
  const counts = { build: 0, launch: 0, suspend: 0, resume: 0, terminate: 0, gc: 0 };
  for (const { kind } of acts) counts[kind] += 1;
  return counts;
}
