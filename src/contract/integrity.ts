// What is known of damage in the files that are kept: found by reading all of them again and again and comparing each with its record.

export interface Damage {
  /** Path of the file, or of the directory where one is missing. */
  file: string;
  /** A clause: "its SHA-256 differs from the manifest". */
  why: string;
  foundAtMs: number;
  /** Whose file it is, when it is only this one's. */
  microvmId?: string | undefined;
  buildId?: string | undefined;
}

export interface ScrubProgress {
  startedAtMs: number;
  files: number;
  bytes: number;
}

export interface ScrubPass extends ScrubProgress {
  endedAtMs: number;
  /** Of the usage ledger, as the pass found it. Compare it with one that was noted elsewhere. */
  ledger: { count: number; checksum: string };
}

export interface ScrubStatus {
  /** 0: passes run on request only. */
  everyDays: number;
  mibPerSecond: number;
  underWay?: ScrubProgress;
  last?: ScrubPass;
  /** Of the last whole pass, and what the one under way has found beside. */
  damage: Damage[];
}

export interface Scrubber {
  status(): ScrubStatus;
  /** Damage in what a MicroVM needs to wake, or an image to be launched from. */
  damageOf(owner: { microvmId?: string; buildId?: string }): Damage[];
  /** Begins a pass; one that is under way is given up, for it may have passed by what was put right since. `mibPerSecond`: instead of the setting; 0 is as fast as can be. */
  start(mibPerSecond?: number): void;
  /** Begins a pass when it is time for one. */
  startWhenDue(): boolean;
}
