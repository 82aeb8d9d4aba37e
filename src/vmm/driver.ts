// One VM on this machine. A driver boots, snapshots and restores; `qemu/` is the real one, `fake/` keeps the same rules without a VM.
// Times in milliseconds, sizes in bytes unless named otherwise.
import type { Duplex } from 'node:stream';
import type { ProcessStatistics, RelayAddress, StageTimes } from '../contract/node-api.ts';
import type { StreamTarget } from '../contract/shell-frames.ts';

export type Accelerator = 'tcg' | 'kvm';

/** How a VM is wired. The net room makes these; the driver knows no more of the network. */
export interface Wire {
  /** Network namespace the VMM runs in. */
  namespace: string;
  tap: string;
  guestMac: string;
  /** Where the host reaches the guest agent's relay. */
  relay: RelayAddress;
  /** The VMM runs as this user; the tap belongs to it. */
  uid: number;
}

export interface MachineSize {
  memoryMib: number;
  vcpus: number;
}

/** What one VM may take of the host's processors. */
export interface CpuShare {
  /** Against other VMs when the host is busy, as in cgroup v2: 1–10000, 100 for one baseline processor. */
  weight: number;
  /** Processors it may use at most, on average over a scheduling period; fractions count. */
  max: number;
}

/** The application of an image, as the container engine configured it. */
export interface AppPlan {
  argv: string[];
  environment: Record<string, string>;
  workingDirectory: string;
  /** `uid`, `uid:gid`, `name` or `name:group`; empty means root. */
  user: string;
  allCapabilities: boolean;
}

export interface BootOrder {
  /** Empty directory of this VM alone, for sockets and temporary files. */
  runDirectory: string;
  /** Empty directory that becomes the image: the driver puts the root disk, the initialization layer and, at `saveImage`, the snapshot there. */
  image: string;
  size: MachineSize;
  /** Absent: no cap. */
  cpu?: CpuShare;
  /** Root disk as the build made it, raw ext4; the driver keeps its own packed copy in `image`. Empty: no disk. */
  rootDisk: string;
  wire?: Wire;
  /** Gets the console (kernel, agent, application output) as it comes. */
  onConsole?: (text: Buffer) => void;
  /** Ends the VM whenever it fires. */
  signal?: AbortSignal;
}

/** A file that a throw-away VM has as a disk of its own, raw whatever is in it. */
export interface RawDisk {
  path: string;
  writable: boolean;
}

/** A VM that works for the host and is never saved. */
export interface ThrowawayOrder {
  /** Empty directory of this VM alone, for sockets and temporary files. */
  runDirectory: string;
  size: MachineSize;
  /** Raw ext4, shared by all VMs that name it and never written. */
  rootDisk: string;
  /** Empty directory for what the VM writes to its root disk; at most as much as that disk is long. The caller removes it. */
  scratch: string;
  /** `/dev/vdb` and so on, in this order. */
  disks: readonly RawDisk[];
  /** Absent: no cap. */
  cpu?: CpuShare;
  wire?: Wire;
  /** Gets the console (kernel, agent, application output) as it comes. */
  onConsole?: (text: Buffer) => void;
  /** Ends the VM whenever it fires. */
  signal?: AbortSignal;
}

export interface RestoreOrder {
  runDirectory: string;
  /** Directory of the image: manifest, memory, device state, disks. */
  image: string;
  /** Directory of the sleeping VM's snapshot; absent for a launch. */
  snapshot?: string;
  /** Directory that holds the VM's own disk layers; a new layer is made there. */
  disks: string;
  /** Absent: no cap. */
  cpu?: CpuShare;
  wire?: Wire;
  freshness: Freshness;
  onConsole?: (text: Buffer) => void;
  /** Ends the VM whenever it fires. */
  signal?: AbortSignal;
}

/** To take over a VM that an earlier server left running. Paths as in the order that restored it. */
export interface AdoptOrder {
  runDirectory: string;
  image: string;
  /** The snapshot that it woke from; absent when it was launched from the image. */
  snapshot?: string;
  disks: string;
  wire?: Wire;
  onConsole?: (text: Buffer) => void;
  /** Ends the VM whenever it fires. */
  signal?: AbortSignal;
}

/** What an earlier server left of a VM, and what was ended. */
export interface SweptVm {
  runDirectory: string;
  /** Absent when only files or groups were left. */
  pid?: number;
}

/** What makes a restored guest itself again. Sent before its application runs. */
export interface Freshness {
  /** 32 hex digits. */
  machineId: string;
  /** UUID. */
  bootId: string;
  hostname: string;
}

export type MachineEndCause = 'requested' | 'application_exited' | 'guest_crashed' | 'vmm_died';

export interface MachineEnd {
  cause: MachineEndCause;
  /** Sentence for people. */
  what: string;
  /** Exit code of the application, when that is why. */
  exitCode?: number;
  /** Last part of the console. */
  consoleTail: string;
}

/** A live guest, as its agent answers. Every answer is parsed with limits: the guest is hostile. */
export interface Guest {
  /** Undefined without a network. */
  readonly relay: RelayAddress | undefined;
  /** First boot only: starts the application. */
  start(plan: AppPlan): Promise<void>;
  /** Is something listening on this TCP port inside the guest? */
  listening(port: number): Promise<boolean>;
  /** POSTs a lifecycle hook over the guest's loopback. Resolves with the HTTP status; rejects with `deadline_exceeded` or `guest_failed`. */
  hook(port: number, name: string, body: string | undefined, timeoutMs: number): Promise<number>;
  /** A byte stream to 127.0.0.1:port, or to a shell. Rejects with `guest_failed` when nothing listens. Ends with a Fault when the VM is gone. */
  open(target: StreamTarget, signal?: AbortSignal): Promise<Duplex>;
}

export interface ImageSizes {
  memoryBytes: number;
  diskBytes: number;
  stages: StageTimes;
}

export interface SuspendResult {
  stages: StageTimes;
  /** Bytes of the snapshot directory plus the VM's disk layers. */
  bytes: number;
}

/** One VM that runs (or has ended). */
export interface Machine extends AsyncDisposable {
  readonly pid: number;
  readonly guest: Guest;
  /** Stage times of how it came to run. */
  readonly stages: StageTimes;
  /** What freshness was repaired; empty after a boot. */
  readonly repaired: string[];
  /** Resolves once, when the VMM is gone. Never rejects. */
  readonly ended: Promise<MachineEnd>;
  /** After `boot` only: freezes the application, completes the image directory (manifest last), ends the VMM. */
  saveImage(): Promise<ImageSizes>;
  /** To be asked when it fails to answer: a VMM that dies loses its guest before it is gone. When false, it has ended. */
  lives(): Promise<boolean>;
  /** Saves what differs from the image into `directory` (made whole or not at all), ends the VMM. On failure the VM runs on. */
  suspend(directory: string): Promise<SuspendResult>;
  /** Ends the VMM at once. Idempotent. */
  kill(): Promise<void>;
  /** Lets go of a restored VM: it runs on, for a later `adopt`. Nothing else may be called afterwards; `ended` stays open. */
  leave(): Promise<void>;
  /**
   * Calls back with true when the host's disk is full and the VM waits for space, and with false when it goes on. It goes on by itself; while it
   * waits it cannot be put to sleep.
   */
  onStall(listener: (stalled: boolean) => void): void;
  /** Of the VMM process: resident memory, CPU time since its start. */
  statistics(): Promise<ProcessStatistics>;
}

/** Makes the disk of a sleeping VM smaller. */
export interface CompactOrder {
  image: string;
  snapshot: string;
  disks: string;
  /** Directory of the snapshot that takes the old one's place; appears whole or not at all. */
  target: string;
  /** Do nothing below this many layers. */
  from: number;
  signal: AbortSignal;
}

export interface Driver extends AsyncDisposable {
  readonly name: 'qemu' | 'fake';
  readonly accelerator: Accelerator | 'fake';
  /** On failure nothing runs; `aborted` on its signal. So does `restore`. */
  boot(order: BootOrder): Promise<Machine>;
  /** Resolves when the guest is fresh and its application runs. */
  restore(order: RestoreOrder): Promise<Machine>;
  /**
   * Takes over a VM that was restored by an earlier server and runs on. One that was stopped in the middle of a suspend goes on. Resolves with undefined
   * when nothing there can be taken over (still being started, another boot, gone); then nothing of it is left. Rejects when it lives but could not be
   * taken over (its image cannot be read, its guest does not answer); then it is as it was: to be tried again, or ended by a `sweep`. `aborted` on its
   * signal, which ends it.
   */
  adopt(order: AdoptOrder): Promise<Machine | undefined>;
  /**
   * Ends what earlier servers left of VMs with run directories directly below `runRoot` and removes it, except for the run directories that `keep` names and
   * those that are just being adopted. Never touches VMs of this driver, nor what is no VM's. With `dryRun` nothing is done: it resolves with
   * what would be.
   */
  sweep(runRoot: string, keep: ReadonlySet<string>, options?: { dryRun?: boolean }): Promise<SweptVm[]>;
  /** Verifies and loads an image, so that its first restore is as quick as the later ones. */
  preload(image: string): Promise<void>;
  /** Gives back what is kept of an image whose files are gone; of one that VMs still run from, when the last of them ends. */
  forget(image: string): void;
  /** Images that are kept in memory although no VM runs from them, and what of it they take. `forget` gives it back. */
  idleImages(): { image: string; bytes: number }[];
  /** True when `target` was made. Until then, and when it fails or is aborted, the old snapshot stays good. */
  compact(order: CompactOrder): Promise<boolean>;
}

/** What a driver of real VMs can do beside. */
export interface ThrowawayDriver {
  /** Resolves when the agent answers. The VM can only be killed. */
  bootThrowaway(order: ThrowawayOrder): Promise<Machine>;
}
