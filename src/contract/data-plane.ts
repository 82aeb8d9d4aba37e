// What the gateway needs to know and to ask, and what the control plane tells of it. The gateway never touches the database: its threads
// have what they need of each endpoint in memory, and ask only for a wake.
import type { Duplex } from 'node:stream';
import type { Limiter } from './limiter.ts';
import type { EndpointLimits } from './limits.ts';
import type { RelayAddress } from './node-api.ts';
import type { StreamTarget } from './shell-frames.ts';
import type { Activity } from './signs.ts';

export interface Endpoint {
  microvmId: string;
  /** Bare host name of the MicroVM, lower case. */
  host: string;
}

export type { Activity };

/** What the gateway works with. */
export interface DataPlane {
  /** Looks an endpoint up in memory; undefined when no MicroVM has this host name. */
  find(host: string): Endpoint | undefined;
  /** Registers a request. Call before `awake`, so that the MicroVM cannot fall asleep in between. */
  begin(microvmId: string): Activity;
  /**
   * Undefined when the MicroVM runs. Otherwise resolves when it does, waking it if it sleeps and may be woken: one wake however many wait.
   * Never throws; rejects with `conflict` (asleep without autoResume, or ended), `aborted`, or what the wake failed with.
   */
  awake(microvmId: string, signal: AbortSignal): Promise<void> | undefined;
  /** What the endpoint has to keep to; undefined when that is nothing. */
  limiter(microvmId: string): Limiter | undefined;
  /**
   * A byte stream to 127.0.0.1:port of a running MicroVM, or to a shell in it, in frames. Rejects with `guest_failed` when nothing listens. When the
   * MicroVM leaves, the stream ends with a Fault.
   */
  open(microvmId: string, target: StreamTarget, signal: AbortSignal): Promise<Duplex>;
  /** Calls back when the MicroVM is about to be suspended or has ended: kept-alive connections to it must be dropped. */
  onLeave(listener: (microvmId: string) => void): void;
}

/** The control plane's side: whoever makes a `DataPlane` takes all endpoints once and then follows the events. */
export interface EndpointSource {
  /** All that are known now. */
  endpoints(): EndpointFacts[];
  /** Calls back with each change as it happens, before whoever asked for the change hears of it. */
  watch(listener: (event: EndpointEvent) => void): void;
  /** Resolves when the MicroVM runs, waking it if it may be woken. Rejects as `DataPlane.awake` does. */
  awake(microvmId: string): Promise<void>;
}

/** Whose MicroVM it is, for logs. */
export interface MicrovmOwner {
  account: string;
  imageArn: string;
}

export interface EndpointFacts extends Endpoint {
  owner: MicrovmOwner;
  /** Of `Signs`. */
  signs: SharedArrayBuffer;
  /** Absent: none. */
  limits?: EndpointLimits;
  /** Absent while it does not run. */
  waking?: WakingTime;
}

/** From one wake to the next sleep. */
export interface WakingTime {
  /** As `Signs.wakingTime` has it: when that says otherwise, this is over, and the address may be another MicroVM's. */
  number: number;
  relay: RelayAddress;
}

/**
 * `known`: there is a new MicroVM. `woke`: it runs. `left`: it is about to be suspended, or has ended; connections to it must be dropped.
 * `forgotten`: it has ended a while ago, and its host name is nobody's.
 */
export type EndpointEvent =
  | { kind: 'known'; endpoint: EndpointFacts }
  | { kind: 'woke'; microvmId: string; waking: WakingTime }
  | { kind: 'left' | 'forgotten'; microvmId: string };
