// The host's side of docs/guest-protocol.md. The guest is hostile: what it sends has limits, and one that goes on talking nonsense is ended.
import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { z } from 'zod';
import type { RelayAddress } from '../contract/node-api.ts';
import type { StreamTarget } from '../contract/shell-frames.ts';
import { within } from '../lib/deadline.ts';
import { Fault } from '../lib/errors.ts';
import { Relay } from '../relay/relay.ts';
import type { AppPlan, Freshness, Guest, Wire } from './driver.ts';
import { GuestLines } from './guest-lines.ts';
import { type GuestAnswer, guestFault, parseGuestLine, parseOk, words } from './guest-words.ts';

/** Of an answer; the longest honest one has about 2 KiB. */
const maxAnswerBytes = 64 << 10;
/** What a guest may send that is no answer to an open question: a late answer, the end of a line that a snapshot cut. */
const maxNonsenseBytes = 64 << 10;
/** Each such line counts as this much more, since reading it costs more than its bytes. */
const nonsenseLineBytes = 64;
/** Questions waiting for a guest that does not read. */
const maxUnsentBytes = 4 << 20;
/** The agent adds its own deadline to a hook; this is the slack for its answer. */
const answerSlackMs = 5_000;

export interface AppExit {
  exitCode?: number;
  signal?: string;
}

type Waiting = { resolve: (ok: unknown) => void; reject: (error: unknown) => void };

/** Speaks with one agent. Emits `broken` once when the agent is no partner to speak with. */
export class GuestClient extends EventEmitter<{ broken: [string] }> implements Guest {
  /** Resolves when the application's main process ends. */
  readonly exited: Promise<AppExit>;
  readonly relay: RelayAddress | undefined;
  readonly #control: Duplex;
  readonly #connections: Relay | undefined;
  readonly #waiting = new Map<number, Waiting>();
  readonly #lines = new GuestLines(maxAnswerBytes);
  readonly #onExited: (exit: AppExit) => void;
  #nonsenseBytes = 0;
  #exited = false;
  #next: number;

  /** `firstId`: of the questions, which are counted from there. */
  constructor(control: Duplex, wire: Wire | undefined, firstId = 1) {
    super();
    const { promise, resolve } = Promise.withResolvers<AppExit>();
    this.exited = promise;
    this.#onExited = resolve;
    this.#next = firstId;
    this.#control = control;
    this.relay = wire?.relay;
    this.#connections = wire && new Relay(wire.relay);
    control.on('data', (bytes: Buffer) => this.#take(bytes));
    control.on('error', () => {});
    control.on('close', () => this.#giveUp('went away'));
  }

  /** For an agent that was in conversation with another host, which may have been cut off within a line. */
  takeOver(): void {
    this.#control.write('\n');
  }

  /** An end of the application that was told before is told again. */
  hello(timeoutMs: number): Promise<{ agent: string; kernel: string; elapsedMs?: number | undefined }> {
    return this.#ask('hello', {}, timeoutMs, words.hello);
  }

  start(plan: AppPlan & { hostname?: string }): Promise<void> {
    return this.#ask('start', { ...plan, hostname: plan.hostname ?? 'localhost' }, 30_000, words.nothing);
  }

  async listening(port: number): Promise<boolean> {
    return (await this.#ask('listening', { port }, 10_000, words.listening)).listening;
  }

  async hook(port: number, name: string, body: string | undefined, timeoutMs: number): Promise<number> {
    const path = `/aws/lambda-microvms/runtime/v1/${name}`;
    const question = { port, path, timeoutMs, ...(body === undefined ? {} : { body }) };
    return (await this.#ask('hook', question, timeoutMs + answerSlackMs, words.hook)).status;
  }

  quiesce(): Promise<void> {
    return this.#ask('quiesce', {}, 10_000, words.nothing);
  }

  /** With `unixNs`, the time, for a VM that has stood still. */
  thaw(unixNs?: bigint): Promise<void> {
    const question = unixNs === undefined ? {} : { unixNs: unixNs.toString() };
    return this.#ask('thaw', question, 10_000, words.nothing);
  }

  /** Sends the new identity, the time and fresh entropy; resolves with what was repaired, when the application runs. */
  async freshen(freshness: Freshness, unixNs: bigint, entropy: Buffer, timeoutMs: number): Promise<string[]> {
    const question = { unixNs: unixNs.toString(), entropy: entropy.toString('base64'), ...freshness };
    return (await this.#ask('freshen', question, timeoutMs, words.freshen)).repaired;
  }

  async open(target: StreamTarget, signal?: AbortSignal): Promise<Duplex> {
    if (!this.#connections) throw new Fault('guest_failed', { what: 'has no network' });
    if (this.#control.destroyed) throw new Fault('guest_failed', { what: 'went away' });
    return this.#connections.open(target, signal);
  }

  /** Ends every connection too. */
  close(): void {
    this.#control.destroy();
    this.#connections?.close();
  }

  async #ask<T>(call: string, members: Record<string, unknown>, timeoutMs: number, schema: z.ZodType<T>): Promise<T> {
    const id = this.#next++;
    const reply = new Promise<unknown>((resolve, reject) => {
      if (this.#control.destroyed) return reject(new Fault('guest_failed', { what: `was gone before ${call}` }));
      if (this.#control.writableLength > maxUnsentBytes)
        return reject(new Fault('guest_failed', { what: 'does not read what it is asked' }));
      this.#waiting.set(id, { resolve, reject });
      this.#control.write(`${JSON.stringify({ id, call, ...members })}\n`);
    });
    const ok = await within(timeoutMs, `The guest's ${call}`, reply).finally(() => this.#waiting.delete(id));
    return parseOk(schema, call, ok);
  }

  #take(bytes: Buffer): void {
    if (this.#control.destroyed) return;
    const whole = this.#lines.take(bytes, (line) => {
      if (line !== '' && this.#handle(line)) return true;
      return this.#excuse(line.length);
    });
    if (!whole) this.#break(`sent a line of more than ${maxAnswerBytes} bytes`);
  }

  /** True for what was expected. */
  #handle(line: string): boolean {
    const said = parseGuestLine(line);
    if (said === undefined) return false;
    if ('answer' in said) return this.#settle(said.answer);
    if (this.#exited) return false;
    this.#exited = true;
    const { exitCode, signal } = said.event;
    this.#onExited({
      ...(exitCode === undefined ? {} : { exitCode }),
      ...(signal === undefined ? {} : { signal }),
    });
    return true;
  }

  #settle({ id, ok, error }: GuestAnswer): boolean {
    const waiting = this.#waiting.get(id);
    if (!waiting) return false;
    this.#waiting.delete(id);
    if (error) waiting.reject(guestFault(error));
    else waiting.resolve(ok);
    return true;
  }

  /** Lets a line pass that nobody waited for, as long as there are few. False when there were too many. */
  #excuse(length: number): boolean {
    this.#nonsenseBytes += length + nonsenseLineBytes;
    if (this.#nonsenseBytes <= maxNonsenseBytes) return true;
    this.#break('went on sending what nobody had asked for');
    return false;
  }

  #break(why: string): void {
    this.#giveUp(why);
    this.close();
    this.emit('broken', why);
  }

  #giveUp(what: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Fault('guest_failed', { what }));
    this.#waiting.clear();
  }
}
