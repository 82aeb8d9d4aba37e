// The one base error of the project: a closed list of codes, facts as fields, the message derived from the facts.
// Branch on `code`; AWS-shaped errors exist only in the API room, which maps these codes with one table.

type Facts = Readonly<Record<string, string | number | boolean | undefined>>;

/** What happened, why, and what to do next, per code. The keys are the closed list. */
const messages = {
  aborted: (f: Facts) => `${f.what} was cancelled.`,
  access_denied: (f: Facts) => `${f.what}`,
  backup_damaged: (f: Facts) =>
    `The backup's file ${f.file} is damaged (${f.why}). Nothing was restored. Use another backup.`,
  conflict: (f: Facts) => `${f.what}`,
  database_damaged: (f: Facts) =>
    `The database ${f.file} is damaged (${f.why}). Nothing was changed in it. Restore a backup into a new directory: waterbear restore.`,
  disk_failed: (f: Facts) =>
    `The host's disk failed at ${f.file} (${f.why}). Look at the kernel's log; nothing that was answered before is touched.`,
  disk_full: (f: Facts) => `The host's disk is full: ${f.file} could not be written. Free space on it and try again.`,
  deadline_exceeded: (f: Facts) => `${f.what} did not finish within ${f.ms} ms.`,
  internal: (f: Facts) => `${f.what}`,
  invalid_input: (f: Facts) => `${f.what}`,
  missing_right: (f: Facts) => `${f.what} needs ${f.right}. ${f.next}`,
  missing_tool: (f: Facts) => `${f.tool} was not found. Install it with: ${f.next}`,
  newer_data: (f: Facts) =>
    `${f.file} was written by a newer version of Waterbear (it knows ${f.found}, this one ${f.known}). Nothing was changed. Start that version, or restore a backup that was made before it.`,
  not_found: (f: Facts) => `${f.what}`,
  process_failed: (f: Facts) =>
    `${f.command} ended with ${f.signal ? `signal ${f.signal}` : `exit code ${f.exitCode}`}${f.stderr ? `: ${f.stderr}` : '.'}`,
  quota_exceeded: (f: Facts) => `${f.what}`,
  capacity_exhausted: (f: Facts) => `${f.what}`,
  throttled: (f: Facts) => `${f.what}`,
  too_large: (f: Facts) => `${f.what} is larger than the limit of ${f.limit}.`,
  snapshot_corrupt: (f: Facts) =>
    `The snapshot file ${f.file} is damaged (${f.why}). It was not loaded. Restore it from a backup, or terminate the MicroVM.`,
  snapshot_incompatible: (f: Facts) =>
    `The snapshot needs ${f.what} ${f.needed}, this host has ${f.present}. ${f.next ?? 'Build a new version of the image on this host.'}`,
  build_failed: (f: Facts) => `${f.reason}: ${f.what}`,
  hook_failed: (f: Facts) => `${f.what}`,
  guest_failed: (f: Facts) => `The guest ${f.what}.`,
  toolkit_damaged: (f: Facts) =>
    `The file ${f.file}, which set-up has made, is damaged (${f.why}). It was not used. Make it anew: sh scripts/setup.sh --fresh`,
  vmm_failed: (f: Facts) => `The virtual machine monitor ${f.what}.`,
  vm_gone: (f: Facts) => `MicroVM ${f.microvmId} ended: ${f.why}`,
} as const;

export type FaultCode = keyof typeof messages;

/** An error of ours. `facts` carry what the message says, for machines. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly facts: Facts;

  constructor(code: FaultCode, facts: Facts, cause?: unknown) {
    super(messages[code](facts), cause === undefined ? undefined : { cause });
    this.name = 'Fault';
    this.code = code;
    this.facts = facts;
  }
}

/** True when `error` is a Fault of one of these codes (any, when none is given). */
export function isFault(error: unknown, ...codes: FaultCode[]): error is Fault {
  return error instanceof Fault && (codes.length === 0 || codes.includes(error.code));
}

/** A sentence for people from anything that was thrown. */
export function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A Fault as it travels between threads. */
export interface FaultWords {
  code: FaultCode;
  facts: Facts;
}

/** Of anything that was thrown; what is not a Fault becomes `internal`. */
export function faultWords(error: unknown): FaultWords {
  if (isFault(error)) return { code: error.code, facts: error.facts };
  return { code: 'internal', facts: { what: describe(error) } };
}

/** All fault codes, for the documentation test. */
export const faultCodes = Object.keys(messages) as FaultCode[];
