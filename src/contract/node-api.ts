// What the control plane asks of one host. In one process `main` hands `app` an object; later the same calls travel over HTTP.
// All times are milliseconds, all sizes bytes unless the name says otherwise.

import type { Discarded, HostThing } from './inventory.ts';

/** Build failure reasons of reference c.8 plus the observed free-text ones (`code` absent there). */
export type BuildReasonCode =
  | 'S3_ACCESS_DENIED'
  | 'S3_NO_SUCH_KEY'
  | 'S3_NO_SUCH_BUCKET'
  | 'S3_INVALID_OBJECT'
  | 'ARCHIVE_DOCKERFILE_NOT_FOUND'
  | 'ARCHIVE_INVALID'
  | 'CONTAINER_BUILD_FAILED'
  | 'DISK_STORAGE_FULL'
  | 'READY_HOOK_FAILED'
  | 'VALIDATE_HOOK_FAILED'
  | 'APPLICATION_EXITED'
  | 'INTERNAL_PLATFORM_ERROR';

/** Hooks of an image. A timeout is present exactly when its hook is enabled; seconds, as the API has them. */
export interface HookPlan {
  /** 1–65535; required when any hook is enabled. */
  port?: number | undefined;
  readySeconds?: number | undefined;
  validateSeconds?: number | undefined;
  runSeconds?: number | undefined;
  resumeSeconds?: number | undefined;
  suspendSeconds?: number | undefined;
  terminateSeconds?: number | undefined;
}

export interface BuildOrder {
  /** UUID; also the name under which the host keeps the image. */
  buildId: string;
  account: string;
  imageName: string;
  imageArn: string;
  imageVersion: string;
  region: string;
  /** Path of the zip on this host; the control plane has fetched it. */
  archivePath: string;
  /** Of the memory that its MicroVMs see, what is always there for them. */
  baselineMib: number;
  memoryMib: number;
  vcpus: number;
  diskMib: number;
  environment: Record<string, string>;
  hooks: HookPlan;
  /** `ALL` OS capabilities inside the VM (reference c.6). */
  allCapabilities: boolean;
  /** `none`: neither RUN steps nor the application while it is built reach anything outside. */
  egress?: 'none';
}

export interface BuildOutcome {
  /** Of the snapshot as kept. */
  memorySnapshotBytes: number;
  diskSnapshotBytes: number;
  codeInstallBytes: number;
  /** Milliseconds by stage, in order. */
  stages: StageTimes;
}

/** Stage name → milliseconds, in the order they happened. */
export type StageTimes = Record<string, number>;

/** What a host is asked to keep room for. */
export interface ReserveOrder {
  microvmId: string;
  buildId: string;
}

export interface LaunchOrder extends ReserveOrder {
  /** As in `NodeClient.suspend`. */
  generation?: number;
  /** Whose turn it takes where launches wait for one; accounts take turns. Absent: all such launches are one account's. */
  account?: string;
  /** For `/run`; the hook is called exactly when the image enables it. */
  runHookPayload?: string;
  /** `none`: for all of its life it reaches nothing outside, whatever the host gives to others. */
  egress?: 'none';
}

export interface LaunchReport {
  stages: StageTimes;
  /** Which kinds of freshness were repaired before the application ran. */
  repaired: string[];
  /** `tcg` or `kvm`; `fake` for the fake driver. */
  accelerator: string;
}

export interface SuspendReport {
  stages: StageTimes;
  /** Bytes on disk that this MicroVM alone occupies while it sleeps. */
  asleepBytes: number;
}

export type EndCause =
  | 'requested'
  | 'application_exited'
  | 'hook_failed'
  | 'vmm_died'
  | 'guest_crashed'
  | 'host_restarted'
  | 'snapshot_damaged';

/** Why a MicroVM is no more. `what` is a sentence for `stateReason`. */
export interface EndReason {
  cause: EndCause;
  what: string;
}

/** Where the agent of a running guest passes bytes on to its application (docs/guest-protocol.md). */
export interface RelayAddress {
  host: string;
  port: number;
}

/** What really exists on the host, from its own files and processes. */
export interface NodeMicrovm {
  microvmId: string;
  /** `recovering`: an earlier server left it, and what became of it is being found out; nothing else is known of it yet. */
  state: 'running' | 'asleep' | 'recovering';
  /** Absent while it is recovering. */
  buildId?: string;
  /** Number of its newest snapshot, from which it runs when it does; 0: it has none. A later snapshot has a higher number. */
  snapshot: number;
  /** Highest generation of an order for it. */
  generation: number;
}

/** What an earlier server left, or an act could not remove. It is tried again, with pauses. */
export interface Leftover {
  /** What it is, with its path or name. */
  what: string;
  /** Why the last attempt failed. */
  why: string;
  attempts: number;
  /** Time of the first attempt, milliseconds since the epoch. */
  sinceMs: number;
}

/** What the process of a VM takes of its host. */
export interface ProcessStatistics {
  residentBytes: number;
  /** Since its start. */
  cpuMs: number;
}

/** What a running MicroVM takes of its host. Counted by the host, from its last wake on: the guest can raise these numbers, not lower them. */
export interface NodeStatistics extends ProcessStatistics {
  /** What left the guest's network: connections of its own, answers, questions to the resolver. 0 where it has none. */
  sentBytes: number;
}

export interface NodeInfo {
  driver: 'qemu' | 'fake';
  accelerator: string;
  architecture: 'X86_64' | 'ARM_64';
  /** Whether the `egress` of an order is kept to. Where it is not, such an order is never given. */
  confinesEgress: boolean;
  capacity: NodeCapacity;
}

/** What a host has for MicroVMs and builds, and what of it is taken. */
export interface NodeCapacity {
  memoryMib: number;
  committedMib: number;
  /** VMs that may start at the same time; those that wait for room or their turn. */
  parallelLaunches: number;
  waiting: number;
}

/** One host. Every call rejects with a Fault; none leaves a half-made MicroVM behind. */
export interface NodeClient {
  info(): NodeInfo;
  /** Resolves when a build of this size could begin now. Rejects with `capacity_exhausted` that says what is short. */
  checkBuild(order: Pick<BuildOrder, 'baselineMib' | 'memoryMib'>): Promise<void>;
  /** Builds, boots, snapshots. Waits a while for room. Rejects with `build_failed` ({reason: BuildReasonCode, what, codeInstallBytes once the container is built}). `onLog` gets the log as text. */
  build(order: BuildOrder, onLog: (text: string) => void, signal?: AbortSignal): Promise<BuildOutcome>;
  /** The build log so far, oldest first; empty when there is none. */
  buildLog(buildId: string): Promise<string>;
  /**
   * Keeps room for a MicroVM that will be launched, until it has ended or `terminate` is called. Rejects with `capacity_exhausted` that says
   * what is short, or `not_found`.
   */
  reserve(order: ReserveOrder): Promise<void>;
  /** Restores, repairs freshness, calls `/run`. Waits for its turn; room that nobody reserved is refused as by `reserve`. Rejects with `hook_failed` when `/run` fails; nothing is left then. */
  launch(order: LaunchOrder): Promise<LaunchReport>;
  /**
   * Calls `/suspend`, closes connections, snapshots, ends the VMM. On `hook_failed` the MicroVM still runs. `generation` is that of the row that
   * the order comes from: the host refuses with `conflict` one that is lower than what it has seen for this MicroVM. Without it nothing is compared.
   */
  suspend(microvmId: string, generation?: number): Promise<SuspendReport>;
  /** Restores from the last snapshot, repairs freshness, calls `/resume`. Waits a while for room and its turn. Rejects with `capacity_exhausted`, or `snapshot_corrupt` naming the file. */
  resume(microvmId: string, generation?: number): Promise<LaunchReport>;
  /** Calls `/terminate` if it runs and the hook is enabled, ends it, removes its files, gives back its room. Idempotent. */
  terminate(microvmId: string, generation?: number): Promise<void>;
  /** Undefined while it does not run. Each time it wakes, the address is another one; the old one may become another MicroVM's. */
  relayOf(microvmId: string): RelayAddress | undefined;
  /** Undefined while it sleeps or is recovering. */
  statistics(microvmId: string): Promise<NodeStatistics | undefined>;
  /**
   * Tells about every MicroVM that ended without `terminate` having been called, before its relay's address can become another's. One whose VMM died
   * and that has a snapshot is asleep there then: `resume` goes on from it, `terminate` removes it.
   */
  onEnded(listener: (microvmId: string, reason: EndReason) => void): void;
  /** What exists now. */
  list(): NodeMicrovm[];
  /** The one of `list` with this id. */
  find(microvmId: string): NodeMicrovm | undefined;
  /**
   * Resolves when it is known what became of a MicroVM that an earlier server left; at once for all others. With a sentence when its VM ran and is
   * gone, or was being started: it is asleep at its last snapshot then, or nothing is left of it. Orders for it wait by themselves.
   */
  settled(microvmId: string): Promise<string | undefined>;
  /** What could not be removed so far. */
  leftovers(): Leftover[];
  deleteImage(buildId: string): Promise<void>;
  /** Everything here that MicroVMs and builds have made, and what needs it. Takes a while: every file is looked at. */
  inventory(): Promise<HostThing[]>;
  /** Removes things of an inventory, each looked at anew: what something on this host needs stays. Of MicroVMs and images, whether anybody wants them is the caller's to know. */
  discard(ids: readonly string[]): Promise<Discarded[]>;
  /** Ends everything this host runs without saving it and removes namespaces and temporary files. Suspend first what must survive. */
  close(): Promise<void>;
  /**
   * Ends this host's part in this process; MicroVMs that run go on, and the next one on the same directories takes them over. Resolves with how many these
   * are; where there are none, it is like `close`.
   */
  leave(): Promise<number>;
}
