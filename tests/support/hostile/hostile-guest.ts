// A MicroVM whose application is an attacker: runs Python as root inside (tests/support/apps/hostile).
import type { NodeClient } from '../../../src/contract/node-api.ts';
import { within } from '../../../src/lib/deadline.ts';
import { ask } from '../real-node.ts';

export interface Attack<T> {
  /** What the source gave to `answer`; null when it gave nothing. */
  answer: T;
  /** Exit code; negative: the signal. */
  status: number;
  output: string;
  timedOut: boolean;
}

export interface AttackOptions {
  timeoutMs?: number;
  /** User and group; default root. */
  user?: number;
}

/** What tests know of a guest's place on the host. */
export interface Place {
  /** Of the VMM. */
  pid: number;
  namespace: string;
  hostLink: string;
  /** Ends of the link between host and slot. */
  hostAddress: string;
  slotAddress: string;
}

const slackMs = 30_000;

export class HostileGuest {
  readonly id: string;
  readonly place: Place;
  readonly #node: () => NodeClient;

  constructor(node: () => NodeClient, id: string, place: Place) {
    this.#node = node;
    this.id = id;
    this.place = place;
  }

  /** Runs the source; never rejects because the source failed. */
  async run<T>(source: string, options: AttackOptions = {}): Promise<Attack<T>> {
    const order = { timeoutMs: 10_000, ...options, source };
    const asked = ask<Attack<T>>(this.#node(), this.id, '/run', JSON.stringify(order));
    return within(order.timeoutMs + slackMs, 'The attack', asked);
  }

  /** What the source answered; a source that fails by itself is a mistake of the test. */
  async tell<T>(source: string, options: AttackOptions = {}): Promise<T> {
    const attack = await this.run<T>(source, options);
    if (attack.status !== 0 || attack.timedOut || attack.answer === null)
      throw new Error(`The attack broke off (${attack.status}, timed out: ${attack.timedOut}): ${attack.output}`);
    return attack.answer;
  }

  /** What reached its open ports from outside. */
  came(): Promise<string[][]> {
    return within(slackMs, 'The list of guests', ask<string[][]>(this.#node(), this.id, '/came'));
  }

  /** Milliseconds until it answers. */
  async ping(): Promise<number> {
    const from = performance.now();
    await within(slackMs, `An answer of ${this.id}`, ask(this.#node(), this.id, '/ping'));
    return performance.now() - from;
  }
}
