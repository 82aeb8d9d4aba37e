// Policies of the operator for what nobody uses any more.

/** How long things are kept that nobody uses; absent: for ever. Milliseconds. */
export interface Lifecycle {
  /** MicroVMs that sleep. */
  keepSuspendedMs?: number;
  /** Versions of each image. */
  keepVersions?: number;
  /** Records of MicroVMs that have ended. */
  keepEndedMs?: number;
  /** Logs of builds that have ended. */
  keepLogsMs?: number;
  /** After what time orphans that hold nobody's work are reaped without being asked. */
  reapAfterMs?: number;
}
