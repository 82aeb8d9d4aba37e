// The columns of every table, as Kysely sees them (camelCase here, snake_case in the database).
import type { Kysely } from 'kysely';
import type {
  BuildState,
  ConnectorState,
  ConnectorUpdateStatus,
  ImageState,
  ImageVersionState,
  ImageVersionStatus,
  MicrovmState,
  UsageKind,
} from '../contract/states.ts';
import type { Json } from './json.ts';

export interface AccountRow {
  account: string;
  createdAtMs: number;
}

export interface AccessKeyRow {
  accessKeyId: string;
  account: string;
  secret: string;
  createdAtMs: number;
}

export interface ImageRow {
  imageArn: string;
  account: string;
  name: string;
  state: ImageState;
  latestActiveVersion: string | null;
  latestFailedVersion: string | null;
  /** Highest major number ever given to a version. */
  lastOrdinal: number;
  /** While a version is being deleted: the state to go back to. */
  stateBefore: ImageState | null;
  tags: Json<Record<string, string>>;
  createdAtMs: number;
  updatedAtMs: number;
}

export interface DeletedImageRow {
  imageArn: string;
  deletedAtMs: number;
}

export interface ImageVersionRow {
  imageArn: string;
  version: string;
  /** Major number, for "latest". */
  ordinal: number;
  state: ImageVersionState;
  status: ImageVersionStatus;
  stateReason: string | null;
  memoryMib: number;
  /** What the version is built from, as asked for and with defaults resolved; the app room owns its form. */
  spec: Json<unknown>;
  createdAtMs: number;
  updatedAtMs: number;
}

export interface BuildRow {
  buildId: string;
  imageArn: string;
  version: string;
  account: string;
  state: BuildState;
  /** How often it was begun, and not stopped in order. */
  attempts: number;
  stateReason: string | null;
  architecture: string;
  memorySnapshotBytes: number | null;
  diskSnapshotBytes: number | null;
  codeInstallBytes: number | null;
  createdAtMs: number;
  endedAtMs: number | null;
}

export type Wish = 'RUNNING' | 'SUSPENDED' | 'TERMINATED';

/** Who put it to sleep: a caller, the idle policy, or this server on its way down. */
export type SuspendCause = 'requested' | 'idle' | 'shutdown';

export interface MicrovmRow {
  microvmId: string;
  account: string;
  host: string;
  imageArn: string;
  imageVersion: string;
  buildId: string;
  memoryMib: number;
  state: MicrovmState;
  wish: Wish;
  /** Raised by every change; a writer names the generation it read. */
  generation: number;
  stateReason: string | null;
  executionRoleArn: string | null;
  maxIdleSeconds: number | null;
  suspendedSeconds: number | null;
  /** 0 or 1. */
  autoResume: number;
  maximumDurationSeconds: number;
  ingressConnectors: Json<string[]>;
  egressConnectors: Json<string[]>;
  logging: Json<unknown> | null;
  runHookPayload: string | null;
  startedAtMs: number;
  /** First time it ran; null while a launch is under way. */
  launchedAtMs: number | null;
  suspendedAtMs: number | null;
  suspendCause: SuspendCause | null;
  /** Until then the idle policy does not put it to sleep. */
  leaseUntilMs: number | null;
  terminatedAtMs: number | null;
  /** Stage times of the last launch, wake and suspend, and why it slept last; the app room owns its form. */
  report: Json<unknown>;
}

export interface UsageIntervalRow {
  microvmId: string;
  kind: UsageKind;
  account: string;
  imageArn: string;
  memoryMib: number;
  startMs: number;
  endMs: number | null;
  /** Its number among all that are closed, from 1 on without a gap; null while it is open. */
  seq: number | null;
  /** Of the chain up to it (ledger.ts); null while it is open. */
  checksum: string | null;
}

/** One row. */
export interface UsageLedgerRow {
  count: number;
  checksum: string;
}

export interface IdempotencyRow {
  account: string;
  operation: string;
  token: string;
  /** SHA-256 of the parameters. */
  fingerprint: string;
  resource: string;
  createdAtMs: number;
}

export interface ConnectorRow {
  connectorId: string;
  arn: string;
  account: string;
  name: string;
  state: ConnectorState;
  stateReason: string | null;
  /** As asked for; the app room owns its form. */
  configuration: Json<unknown>;
  operatorRole: string;
  version: number;
  /** Null before the first update. */
  updateStatus: ConnectorUpdateStatus | null;
  updateReason: string | null;
  tags: Json<Record<string, string>>;
  createdAtMs: number;
  modifiedAtMs: number;
  deletedAtMs: number | null;
}

export interface ServerSecretRow {
  name: string;
  secret: string;
}

export interface Tables {
  accounts: AccountRow;
  accessKeys: AccessKeyRow;
  images: ImageRow;
  deletedImages: DeletedImageRow;
  imageVersions: ImageVersionRow;
  builds: BuildRow;
  microvms: MicrovmRow;
  usageIntervals: UsageIntervalRow;
  usageLedger: UsageLedgerRow;
  idempotency: IdempotencyRow;
  networkConnectors: ConnectorRow;
  serverSecrets: ServerSecretRow;
}

/** A database or a transaction of it. */
export type Database = Kysely<Tables>;
