// The limits a server applies. A profile (config/) fills them in, the use cases (app/) keep to them.

/** What a guest gets. */
export interface GuestSize {
  /** What was asked for: the memory that is always there, and the measure of the guest's share of the processors. */
  baselineMib: number;
  /** What the guest sees: its peak. */
  memoryMib: number;
  vcpus: number;
  diskMib: number;
}

/** Of the endpoint of one MicroVM. Reference f.8. */
export interface EndpointLimits {
  /** Both directions together; what is over it waits. */
  readonly bytesPerSecond: Rate;
  /** What is over it is refused. */
  readonly requestsPerSecond: Rate;
  /** Of clients, at once; what is over it is refused. */
  readonly connections: Rate;
}

/** What keeps a MicroVM awake beside bytes that come in at its endpoint. AWS knows none of them (reference e.3). */
export interface IdleSignals {
  /** Requests, connections and shells that are open. */
  readonly requests: boolean;
  /** A lease that a caller took. */
  readonly lease: boolean;
  /** What the guest takes of the host's processors, in percent of one, smoothed; it counts from here on. Absent: never. */
  readonly cpuPercent?: number;
  /** What the guest sends between two looks (5 s apart at most); it counts from here on. Absent: never. */
  readonly outboundBytes?: number;
}

/** A number, per second or at once. */
export type Rate = number | 'unlimited';

/** Requests per second of one account, and as many at once. */
export const rateNames = [
  /** RunMicrovm and ResumeMicrovm together. */
  'run-per-second',
  'suspend-per-second',
  'terminate-per-second',
  /** GetMicrovm. */
  'get-per-second',
  'auth-token-per-second',
  'shell-auth-token-per-second',
  /** Each other operation that only reads, for itself. */
  'read-per-second',
  /** Each other operation that changes something, for itself. */
  'write-per-second',
] as const;

export type RateName = (typeof rateNames)[number];

export interface Limits {
  name: 'open' | 'aws';
  minIdleSeconds: number;
  maxIdleSeconds: number;
  maxDurationSeconds: number;
  /** When RunMicrovm names none. */
  defaultDurationSeconds: number;
  maxTokenMinutes: number;
  /** Whether a request to a PENDING MicroVM waits; otherwise it is answered 502. */
  holdWhilePending: boolean;
  idleSignals: IdleSignals;
  /** Whether ARM_64 is taken as "the architecture of this host", and X86_64 exists. */
  anyArchitecture: boolean;
  /** For hooks that are enabled without a timeout: `/ready` and `/validate`, and the other four. */
  imageHookSeconds: number;
  microvmHookSeconds: number;
  /** Whether a MicroVM whose `/suspend` fails is ended; otherwise it runs on. */
  suspendHookFailureEnds: boolean;
  maxImages: number;
  maxOpenBuilds: number;
  /** Of one image. */
  maxVersions: number;
  maxConnectors: number;
  /** Configured memory of all MicroVMs of an account that have not ended. */
  maxMemoryMib: number;
  rates: Readonly<Record<RateName, Rate>>;
  /** Whether an older version launches while a newer one is built, or has failed. */
  launchWhileUpdating: boolean;
  /** What the guest gets, by the `minimumMemoryInMiB` that may be asked for. */
  sizes: Readonly<Record<number, GuestSize>>;
  /** By the same. */
  endpoint: Readonly<Record<number, EndpointLimits>>;
}
