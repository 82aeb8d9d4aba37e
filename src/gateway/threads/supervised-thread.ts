// One thread of the gateway, and the one that takes its place when it dies. What it listened on, its successor listens on; clients'
// connections are lost, MicroVMs are not.
import { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../../lib/clock.ts';
import { within } from '../../lib/deadline.ts';
import { describe, Fault, faultWords } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import type { FromThread, Order, Result, ThreadSetUp, ToThread } from './messages.ts';

const orderMs = 30_000;
/** After this long a death is an accident: its successor starts at once. */
const steadyMs = 60_000;
const longestPauseMs = 10_000;
/** A thread that leaves this much unread does not work any more. */
const maxUnread = 100_000;

export interface SupervisedThreadOptions {
  index: number;
  clock: Clock;
  log: Log;
  /** As of now. Called for each new thread. */
  setUp(): Omit<ThreadSetUp, 'index' | 'taken'>;
  /** Resolves when the MicroVM runs. */
  awake(microvmId: string): Promise<void>;
  /** The thread is gone, and nothing of it will be heard again. */
  ended(): void;
}

interface Given {
  order: Order;
  resolve(result: Result): void;
  reject(error: unknown): void;
}

/** A thread that lives. */
interface Life {
  worker: Worker;
  startedAtMs: number;
  ready: boolean;
  sent: number;
  taken: Int32Array<SharedArrayBuffer>;
  error: unknown;
}

export class SupervisedThread {
  readonly #options: SupervisedThreadOptions;
  readonly #given = new Map<number, Given>();
  /** What a successor does again, by what it is about. */
  readonly #standing = new Map<string, Order>();
  #life: Life | undefined;
  #nextId = 1;
  #deaths = 0;
  #pause: Timer | undefined;
  #everReady = false;
  #closing = false;

  constructor(options: SupervisedThreadOptions) {
    this.#options = options;
    this.#start();
  }

  /**
   * Resolves with what the order brings. An order that a dead thread has not carried out is carried out by its
   * successor. Rejects with what the gateway rejects with, or `deadline_exceeded`.
   */
  async order(order: Order, ms = orderMs): Promise<Result> {
    if (this.#closing && order.do !== 'close') throw new Fault('aborted', { what: `The gateway's ${order.do}` });
    const id = this.#nextId++;
    const done = new Promise<Result>((resolve, reject) => this.#given.set(id, { order, resolve, reject }));
    if (this.#life) this.#send(this.#life, { kind: 'order', id, order });
    return within(ms, `The gateway's ${order.do}`, done).finally(() => this.#given.delete(id));
  }

  /** For what `setUp` says to the next thread, too. */
  tell(message: ToThread): void {
    if (this.#life) this.#send(this.#life, message);
  }

  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    this.#pause?.cancel();
    const life = this.#life;
    if (!life) return;
    try {
      await this.order({ do: 'close', graceMs }, graceMs + 5_000);
    } catch (error) {
      this.#options.log.warn('gateway.thread_not_closed', { index: this.#options.index, error: describe(error) });
    } finally {
      await life.worker.terminate();
    }
  }

  #start(): void {
    const { index, clock, setUp } = this.#options;
    const taken = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const workerData: ThreadSetUp = { ...setUp(), index, taken };
    const worker = new Worker(new URL('./thread.ts', import.meta.url), { name: `gateway ${index}`, workerData });
    const startedAtMs = clock.elapsed();
    const life: Life = { worker, startedAtMs, ready: false, sent: 0, taken: new Int32Array(taken), error: undefined };
    this.#life = life;
    worker.on('message', (message: FromThread) => this.#hear(life, message));
    worker.on('error', (error) => {
      life.error = error;
    });
    worker.on('exit', (exitCode) => this.#ended(life, life.error ?? new Error(`It exited with ${exitCode}.`)));
    const unfinished = [...this.#given];
    for (const order of this.#standing.values()) this.#again(life, order);
    for (const [id, { order }] of unfinished) this.#send(life, { kind: 'order', id, order });
  }

  /** A successor that cannot take over is none. */
  #again(life: Life, order: Order): void {
    const id = this.#nextId++;
    const settled = (): boolean => this.#given.delete(id);
    const reject = (error: unknown): void => {
      settled();
      life.error ??= error;
      void life.worker.terminate();
    };
    this.#given.set(id, { order, resolve: settled, reject });
    this.#send(life, { kind: 'order', id, order });
  }

  #send(life: Life, message: ToThread): void {
    life.worker.postMessage(message);
    life.sent += 1;
    if (life.sent - Atomics.load(life.taken, 0) <= maxUnread || life.error !== undefined) return;
    life.error = new Error('It does not read what it is told.');
    void life.worker.terminate();
  }

  #hear(life: Life, message: FromThread): void {
    switch (message.kind) {
      case 'ready':
        life.ready = true;
        this.#everReady = true;
        break;
      case 'awake':
        this.#wake(life, message.microvmId);
        break;
      case 'done':
        this.#done(message.id, message.result);
        break;
      case 'failed':
        this.#given.get(message.id)?.reject(new Fault(message.fault.code, message.fault.facts));
    }
  }

  #wake(life: Life, microvmId: string): void {
    this.#options.awake(microvmId).then(
      () => this.#send(life, { kind: 'awoke', microvmId }),
      (error: unknown) => this.#send(life, { kind: 'awoke', microvmId, fault: faultWords(error) }),
    );
  }

  #done(id: number, result: Result): void {
    const given = this.#given.get(id);
    if (!given) return;
    const { order } = given;
    const { port } = result;
    if (order.do === 'listen') this.#standing.set(`host ${order.host}`, { ...order, port: port ?? order.port });
    if (order.do === 'listenFor') this.#standing.set(order.microvmId, { ...order, port: port ?? order.port });
    if (order.do === 'closeFor') this.#standing.delete(order.microvmId);
    given.resolve(result);
  }

  #ended(life: Life, error: unknown): void {
    const { index, clock, log, ended } = this.#options;
    this.#life = undefined;
    ended();
    if (this.#closing) {
      this.#giveUp(new Fault('aborted', { what: 'The gateway' }));
      return;
    }
    log.error('gateway.thread_ended', { index, error: describe(error) });
    if (!this.#everReady) {
      // What has never worked will not work the next time.
      const what = `A thread of the gateway could not start: ${describe(error)}`;
      this.#giveUp(new Fault('internal', { what }, error));
    }
    this.#deaths = clock.elapsed() - life.startedAtMs >= steadyMs ? 0 : this.#deaths + 1;
    const pauseMs = this.#deaths <= 1 ? 0 : Math.min(longestPauseMs, 50 * 2 ** this.#deaths);
    this.#pause = clock.after(pauseMs, () => this.#start());
  }

  #giveUp(why: Fault): void {
    for (const { reject } of this.#given.values()) reject(why);
  }
}
