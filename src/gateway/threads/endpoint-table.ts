// The data plane as a gateway's thread has it: all endpoints in its own memory, their signs of life in shared memory, and connections
// straight to the guests. It asks nobody unless a MicroVM has to be woken.
import type { Duplex } from 'node:stream';
import type {
  Activity,
  DataPlane,
  Endpoint,
  EndpointEvent,
  EndpointFacts,
  MicrovmOwner,
  WakingTime,
} from '../../contract/data-plane.ts';
import { Limiter } from '../../contract/limiter.ts';
import type { StreamTarget } from '../../contract/shell-frames.ts';
import { type Counter, Signs } from '../../contract/signs.ts';
import { Fault, type FaultWords } from '../../lib/errors.ts';
import { Relay } from '../../relay/relay.ts';

export interface EndpointTableOptions {
  counter: Counter;
  /** Asks for a wake; `awoke` is called with the answer. */
  ask(microvmId: string): void;
  /** Takes the events that have been sent but not yet been taken. */
  catchUp(): void;
}

interface Entry {
  readonly microvmId: string;
  readonly host: string;
  readonly owner: MicrovmOwner;
  readonly signs: Signs;
  readonly limiter: Limiter | undefined;
  /** The waking time under way, as far as this thread has heard. */
  waking: { number: number; relay: Relay } | undefined;
}

const nothing: Activity = { touch() {}, end() {} };

export class EndpointTable implements DataPlane {
  readonly #options: EndpointTableOptions;
  readonly #byId = new Map<string, Entry>();
  readonly #byHost = new Map<string, Entry>();
  /** Wakes that were asked for; one question, however many requests wait. */
  readonly #asked = new Map<string, PromiseWithResolvers<void>>();
  readonly #leaveListeners: ((microvmId: string) => void)[] = [];
  readonly #forgetListeners: ((microvmId: string) => void)[] = [];

  constructor(endpoints: readonly EndpointFacts[], options: EndpointTableOptions) {
    this.#options = options;
    for (const endpoint of endpoints) this.#add(endpoint);
  }

  apply(event: EndpointEvent): void {
    switch (event.kind) {
      case 'known':
        this.#add(event.endpoint);
        break;
      case 'woke':
        this.#woke(event.microvmId, event.waking);
        break;
      case 'left':
        this.#left(event.microvmId);
        break;
      case 'forgotten':
        this.#forget(event.microvmId);
        break;
    }
  }

  /** The answer to `ask`. */
  awoke(microvmId: string, fault?: FaultWords): void {
    const asked = this.#asked.get(microvmId);
    this.#asked.delete(microvmId);
    if (fault) asked?.reject(new Fault(fault.code, fault.facts));
    else asked?.resolve();
  }

  find(host: string): Endpoint | undefined {
    return this.#found(this.#byHost, host);
  }

  begin(microvmId: string): Activity {
    return this.#found(this.#byId, microvmId)?.signs.begin(this.#options.counter) ?? nothing;
  }

  awake(microvmId: string, signal: AbortSignal): Promise<void> | undefined {
    return this.#runs(microvmId) ? undefined : this.#wake(microvmId, signal);
  }

  limiter(microvmId: string): Limiter | undefined {
    return this.#byId.get(microvmId)?.limiter;
  }

  async open(microvmId: string, target: StreamTarget, signal: AbortSignal): Promise<Duplex> {
    const entry = this.#byId.get(microvmId);
    const waking = entry?.waking;
    if (!entry || !waking || isOver(entry, waking)) throw new Fault('guest_failed', { what: 'is asleep' });
    const stream = await waking.relay.open(target, signal);
    // Only now it is certain who answered: an address that was given back may be another MicroVM's, but its waking time is over then.
    if (isOver(entry, waking)) {
      stream.destroy();
      throw new Fault('guest_failed', { what: 'fell asleep' });
    }
    // Whoever sees the stream end because the MicroVM leaves hears first that it does.
    const hear = (): void => {
      if (isOver(entry, waking)) this.#options.catchUp();
    };
    return stream.once('end', hear).once('error', hear);
  }

  onLeave(listener: (microvmId: string) => void): void {
    this.#leaveListeners.push(listener);
  }

  /** Calls back when the MicroVM has ended a while ago. */
  onForget(listener: (microvmId: string) => void): void {
    this.#forgetListeners.push(listener);
  }

  ownerOf(microvmId: string): MicrovmOwner | undefined {
    return this.#byId.get(microvmId)?.owner;
  }

  /** What this thread has not heard of may have been told to it all the same. */
  #found(entries: Map<string, Entry>, key: string): Entry | undefined {
    const found = entries.get(key);
    if (found) return found;
    this.#options.catchUp();
    return entries.get(key);
  }

  /** Whether it runs, and where is known here. */
  #runs(microvmId: string): boolean {
    const entry = this.#byId.get(microvmId);
    return entry?.signs.runs === true && entry.waking !== undefined && !isOver(entry, entry.waking);
  }

  /** An answer may be older than the request that waits for it: then it is asked again. */
  async #wake(microvmId: string, signal: AbortSignal): Promise<void> {
    do await unlessAborted(this.#asking(microvmId), signal);
    while (!this.#runs(microvmId));
  }

  #asking(microvmId: string): Promise<void> {
    const under = this.#asked.get(microvmId);
    if (under) return under.promise;
    const asked = Promise.withResolvers<void>();
    this.#asked.set(microvmId, asked);
    this.#options.ask(microvmId);
    return asked.promise;
  }

  #add({ microvmId, host, owner, signs: buffer, limits, waking }: EndpointFacts): void {
    const signs = new Signs(buffer);
    const limiter = limits && new Limiter(signs, limits, this.#options.counter.index);
    const entry = { microvmId, host, owner, signs, limiter, waking: undefined };
    this.#byId.set(microvmId, entry);
    this.#byHost.set(host, entry);
    if (waking) this.#woke(microvmId, waking);
  }

  #woke(microvmId: string, { number, relay }: WakingTime): void {
    const entry = this.#byId.get(microvmId);
    if (entry) entry.waking = { number, relay: new Relay(relay, () => isOver(entry, { number })) };
  }

  #left(microvmId: string): void {
    for (const listener of this.#leaveListeners) listener(microvmId);
    const entry = this.#byId.get(microvmId);
    entry?.waking?.relay.close();
    if (entry) entry.waking = undefined;
  }

  #forget(microvmId: string): void {
    const entry = this.#byId.get(microvmId);
    this.#byId.delete(microvmId);
    if (entry) this.#byHost.delete(entry.host);
    for (const listener of this.#forgetListeners) listener(microvmId);
  }
}

const isOver = ({ signs }: Entry, waking: { number: number }): boolean => signs.wakingTime !== waking.number;

/** Gives up the wait, not what is waited for: others may wait for it too. */
function unlessAborted(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new Fault('aborted', { what: 'The wait for the MicroVM' }));
    const done = (settle: () => void) => (): void => {
      signal.removeEventListener('abort', onAbort);
      settle();
    };
    work.then(done(resolve), (error: unknown) => done(() => reject(error))());
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
}
