// What the gateway needs to know and to ask. The control plane implements it; the gateway never touches the database.
import type { Duplex } from 'node:stream';
import type { StreamTarget } from './shell-frames.ts';
import type { MicrovmState } from './states.ts';

export interface Endpoint {
  microvmId: string;
  /** Bare host name of the MicroVM, lower case. */
  host: string;
  state: MicrovmState;
  autoResume: boolean;
}

/** One request or connection under way. While it is open in profile `open` the MicroVM is not idle. */
export interface Activity {
  /** Bytes came in. */
  touch(): void;
  end(): void;
}

export interface DataPlane {
  /** Looks an endpoint up in memory; undefined when no MicroVM has this host name. */
  find(host: string): Endpoint | undefined;
  /** Registers a request. Call before `awake`, so that the MicroVM cannot fall asleep in between. */
  begin(microvmId: string): Activity;
  /**
   * Undefined when the MicroVM runs. Otherwise resolves when it does, waking it if it sleeps and may be woken: one wake however many wait.
   * Never throws; rejects with `conflict` (asleep without autoResume, or ended), `deadline_exceeded`, `aborted`, or what the wake failed with.
   */
  awake(microvmId: string, signal: AbortSignal): Promise<void> | undefined;
  /**
   * A byte stream to 127.0.0.1:port of a running MicroVM, or to a shell in it, in frames. Rejects with `guest_failed` when nothing listens. A stream
   * that ends because its MicroVM leaves ends with a Fault.
   */
  open(microvmId: string, target: StreamTarget, signal: AbortSignal): Promise<Duplex>;
  /** Calls back when the MicroVM is about to be suspended or has ended: kept-alive connections to it must be dropped. */
  onLeave(listener: (microvmId: string) => void): void;
}
