// A slot: one network namespace with a tap for a VM and a way for the host to reach the guest. All slots look alike to the guest.

/** Fixed addresses, the same in every slot, so that a snapshot fits any of them. */
export const guestNetwork = {
  guestAddress: '10.111.0.2',
  gatewayAddress: '10.111.0.1',
  prefixLength: 30,
  guestMac: '02:57:42:00:00:02',
  gatewayMac: '02:57:42:00:00:01',
  /** TCP port of the agent's relay, on the guest address. */
  relayPort: 61999,
} as const;

export interface Slot {
  readonly index: number;
  readonly namespace: string;
  readonly tap: string;
  readonly guestMac: string;
  /** User that owns the tap and runs the VMM. */
  readonly uid: number;
  /** Where the host dials to reach the relay inside the guest. */
  readonly relay: { host: string; port: number };
  /** Bytes that have left the slot so far, as the host counts them at its end of the link: what the guest sends to its gateway alone is not among them. */
  sentBytes(): Promise<number>;
  /** Removes the namespace; a used slot is never given out again. Idempotent. */
  release(): Promise<void>;
}

/** `used`: given out, or its fate is not decided yet; `left`: nobody uses it. */
export type SlotUse = 'ready' | 'used' | 'left';

export interface StandingSlot {
  namespace: string;
  use: SlotUse;
  /** When it was made, milliseconds since the epoch by the machine's clock. */
  madeMs: number;
}

/** Slots made ahead. */
export interface SlotPool extends AsyncDisposable {
  acquire(signal?: AbortSignal): Promise<Slot>;
  /** The slot with this index that an earlier server left in use, with today's rules. Rejects with `not_found`. To be called before `sweep`. */
  adopt(index: number): Promise<Slot>;
  /** Removes the slots of earlier servers that were not adopted. Resolves with how many there were. */
  sweep(): Promise<number>;
  /** Every slot of this instance that stands, whole or not, by index. */
  list(): ReadonlyMap<number, StandingSlot>;
  /** Removes one that is `left`. Resolves with whether it is gone; false for any other. */
  discard(index: number): Promise<boolean>;
  /** Ends this pool but leaves slots that are in use as they are, for a later `adopt`. */
  leave(): Promise<void>;
}
