// Slots made ahead: a launch takes a ready one, another is made when the launch has had time to finish.
import { type Clock, systemClock, type Timer } from '../lib/clock.ts';
import { describe, Fault } from '../lib/errors.ts';
import { type Log, silentLog } from '../lib/log.ts';
import { WaitingLine } from '../lib/waiting-line.ts';
import type { SlotLink } from './addresses.ts';
import { adoptSlot } from './adopt-slot.ts';
import { closeHost, type HostShare, openHost } from './host-network.ts';
import { receivedBytes } from './link-counters.ts';
import { madeMs, makeSlot, type SlotPlan, slotNames } from './make-slot.ts';
import { missingRight } from './network-tools.ts';
import type { Egress } from './reach.ts';
import { guestNetwork, type Slot, type SlotPool, type SlotUse, type StandingSlot } from './slot.ts';
import { SlotIndices } from './slot-indices.ts';
import { SlotRemoval } from './slot-removal.ts';
import { tap } from './slot-rules.ts';
import { slotsOnHost, sweep, sweepSlots } from './sweep-slots.ts';

export interface SlotPoolOptions {
  /** 4–6 hex digits, the same at every start from one data directory and different between data directories. */
  instance: string;
  /** Slots kept ready; default 2. */
  size?: number;
  /** Slots that exist at once, ready ones included. */
  max: number;
  /** User that the VMM of this slot runs as; default root. */
  tapOwner?: (index: number) => number;
  /** Whether guests reach public addresses; default `none`. */
  egress?: Egress;
  /** Whether egress carries UDP too; default false: TCP only, and questions to our resolver. */
  egressUdp?: boolean;
  /** Private networks (CIDR) that guests may reach; default none. */
  allowedPrivateRanges?: readonly string[];
  /** The host's list of name servers; default `/etc/resolv.conf`. */
  resolvConf?: string;
  /** Private /16 for the links; default 10.112.0.0/16, or the next free one. */
  range?: string;
  /** Default 10 s. */
  acquireTimeoutMs?: number;
  clock?: Clock;
  log?: Log;
}

/** How long after a launch took a slot the next is made, so that the two do not compete. */
const quietMs = 1000;

/** Sets the host up and starts to fill the pool. Slots of an earlier server stay until they are adopted or swept. Rejects with `missing_right`, `missing_tool` or `invalid_input`. */
export async function createSlotPool(options: SlotPoolOptions): Promise<SlotPool> {
  const { instance, egress = 'none', clock = systemClock, log = silentLog } = options;
  if (!/^[0-9a-f]{4,6}$/.test(instance)) {
    throw new Fault('invalid_input', { what: `The instance must be 4 to 6 hex digits, not ${instance}.` });
  }
  if (process.platform !== 'linux' || process.getuid?.() !== 0) throw missingRight('root');
  const found = slotsOnHost(instance);
  try {
    const {
      egressUdp: udp = false,
      allowedPrivateRanges: allowedRanges = [],
      resolvConf = '/etc/resolv.conf',
    } = options;
    const order = { instance, egress, udp, allowedRanges, resolvConf, range: options.range, slots: options.max };
    return new Pool(options, await openHost({ ...order, clock, log }), found);
  } catch (error) {
    // Guests of an earlier server may still run: its rules confine them.
    if (found.length === 0) await closeHost(instance).catch(() => {});
    throw error;
  }
}

class Pool implements SlotPool {
  readonly #options: SlotPoolOptions;
  readonly #host: HostShare;
  readonly #size: number;
  readonly #log: Log;
  readonly #line: WaitingLine<Slot>;
  /** Every slot that exists, by index. */
  readonly #slots = new Map<number, Slot>();
  readonly #ready: Slot[] = [];
  readonly #indices: SlotIndices;
  readonly #removal: SlotRemoval;
  #isSwept = false;
  #quiet: Timer | undefined;
  #filling: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: SlotPoolOptions, host: HostShare, found: readonly number[]) {
    this.#options = options;
    this.#host = host;
    this.#indices = new SlotIndices(found);
    this.#size = Math.min(options.size ?? 2, options.max);
    this.#log = options.log ?? silentLog;
    const { clock = systemClock } = options;
    this.#removal = new SlotRemoval(options.instance, clock, this.#log);
    this.#line = new WaitingLine(clock, 'The wait for a network slot');
    this.#fill();
  }

  async acquire(signal?: AbortSignal): Promise<Slot> {
    if (this.#closing || signal?.aborted) throw new Fault('aborted', { what: 'Taking a network slot' });
    this.#quiet ??= (this.#options.clock ?? systemClock).after(quietMs, () => {
      this.#quiet = undefined;
      this.#fill();
    });
    const ready = this.#ready.shift();
    if (ready) return ready;
    const waiting = this.#line.wait(this.#options.acquireTimeoutMs ?? 10_000, () => this.#lateFault(), { signal });
    this.#fill();
    return waiting;
  }

  async adopt(index: number): Promise<Slot> {
    if (this.#closing) throw new Fault('aborted', { what: 'Taking over a network slot' });
    const { found } = this.#indices;
    if (!found.delete(index)) throw new Fault('not_found', { what: `Slot ${index} is not there.` });
    const plan = this.#plan(index);
    try {
      return await this.#indices.during(index, async () => this.#keep(plan, await adoptSlot(plan)));
    } catch (error) {
      if (this.#isSwept) await this.#removal.remove([index]);
      else found.add(index);
      throw error;
    }
  }

  async sweep(): Promise<number> {
    if (this.#closing) return 0;
    const indices = [...this.#indices.found];
    this.#indices.found.clear();
    this.#isSwept = true;
    if (indices.length > 0) {
      await this.#removal.remove(indices);
      this.#log.info('slots_swept', { count: indices.length, left: this.#removal.pending.size });
    }
    return indices.length;
  }

  list(): ReadonlyMap<number, StandingSlot> {
    const ready = new Set(this.#ready.map(({ index }) => index));
    const { found, busy } = this.#indices;
    const { pending, left } = this.#removal;
    const isUsed = (index: number): boolean =>
      [this.#slots, found, busy].some((indices) => indices.has(index)) || (pending.has(index) && !left.has(index));
    const useOf = (index: number): SlotUse => (ready.has(index) ? 'ready' : isUsed(index) ? 'used' : 'left');
    const { instance } = this.#options;
    const one = (index: number): StandingSlot => {
      const names = slotNames(instance, index);
      return { namespace: names.namespace, use: useOf(index), madeMs: madeMs(names) };
    };
    return new Map(slotsOnHost(instance).map((index) => [index, one(index)]));
  }

  async discard(index: number): Promise<boolean> {
    if (this.#closing || this.list().get(index)?.use !== 'left') return false;
    await this.#removal.remove([index]);
    return !this.#removal.pending.has(index);
  }

  leave(): Promise<void> {
    this.#closing ??= this.#close(false);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closing ??= this.#close(true);
    return this.#closing;
  }

  /** Makes slots one after the other: for those who wait at once, for the stock only when it is quiet. */
  #fill(): void {
    this.#filling ??= this.#fillWhileWanted().finally(() => {
      this.#filling = undefined;
      // Someone may have queued up just as the work ended.
      if (this.#line.length > 0 && this.#wanted()) this.#fill();
    });
  }

  async #fillWhileWanted(): Promise<void> {
    // Let the caller finish first: no process is started within its turn.
    await Promise.resolve();
    while (this.#wanted()) {
      try {
        const slot = await this.#make();
        if (this.#closing || !this.#line.give(slot)) this.#ready.push(slot);
      } catch (error) {
        this.#log.warn('slot_failed', { why: describe(error) });
        if (!this.#line.fail(error)) return;
      }
    }
  }

  #wanted(): boolean {
    if (this.#closing || this.#slots.size >= this.#options.max) return false;
    return this.#line.length > 0 || (!this.#quiet && this.#ready.length < this.#size);
  }

  async #make(): Promise<Slot> {
    const { pending } = this.#removal;
    const plan = this.#plan(this.#indices.free((index) => this.#slots.has(index) || pending.has(index)));
    const startedAt = performance.now();
    const slot = await this.#indices.during(plan.index, async () => this.#keep(plan, await makeSlot(plan)));
    this.#log.info('slot_made', { index: slot.index, ms: Math.round(performance.now() - startedAt) });
    return slot;
  }

  #plan(index: number): SlotPlan {
    const { instance, tapOwner } = this.#options;
    const { range, reach, limits } = this.#host;
    return { instance, index, range, reach, limits, tapOwnerUid: tapOwner?.(index) ?? 0 };
  }

  #keep({ instance, index, tapOwnerUid }: SlotPlan, link: SlotLink): Slot {
    let released: Promise<void> | undefined;
    const { namespace, hostLink } = slotNames(instance, index);
    const slot: Slot = {
      index,
      namespace,
      tap,
      uid: tapOwnerUid,
      guestMac: guestNetwork.guestMac,
      relay: { host: link.slotAddress, port: guestNetwork.relayPort },
      sentBytes: () => receivedBytes(hostLink),
      release: () => {
        released ??= this.#release(index);
        return released;
      },
    };
    this.#slots.set(index, slot);
    return slot;
  }

  async #release(index: number): Promise<void> {
    // The names may belong to a next pool by then.
    if (this.#closing) return this.#closing;
    await this.#removal.remove([index]);
    this.#slots.delete(index);
    this.#host.resolver?.forget(index);
    this.#fill();
  }

  #lateFault(): Fault {
    const { max, acquireTimeoutMs = 10_000 } = this.#options;
    if (this.#slots.size < max)
      return new Fault('deadline_exceeded', { what: 'Making a network slot', ms: acquireTimeoutMs });
    return new Fault('capacity_exhausted', { what: `All ${max} network slots of this host are in use.` });
  }

  async #close(everything: boolean): Promise<void> {
    this.#quiet?.cancel();
    this.#removal.stop();
    this.#line.close(new Fault('aborted', { what: 'Taking a network slot' }));
    await this.#filling;
    const { instance } = this.#options;
    // The resolver's address is given back with the host's share.
    await this.#host.resolver?.[Symbol.asyncDispose]();
    if (everything) await sweepSlots(instance);
    else await sweep(instance, [...this.#ready.map(({ index }) => index), ...this.#removal.pending]);
    this.#slots.clear();
  }
}
