// What the app room is told from outside: limits, names and the functions it cannot have itself.

import type { Scrubber } from '../contract/integrity.ts';
import type { Lifecycle } from '../contract/lifecycle.ts';
import type { Limits } from '../contract/limits.ts';
import type { NodeClient } from '../contract/node-api.ts';
import type { ObjectStore } from '../contract/object-store.ts';
import type { TokenOrder, TokenRevoker } from '../contract/token-claims.ts';
import type { Traffic } from '../contract/traffic.ts';
import type { Clock } from '../lib/clock.ts';
import type { Log } from '../lib/log.ts';
import type { Database } from '../store/tables.ts';

export interface AppSettings {
  /** In ARNs and in the guest's environment. */
  region: string;
  version: string;
  /** The server's own account: it alone may ask for and do what concerns all accounts. */
  account: string;
  limits: Limits;
  /** Hosts are `<uuid>.<hostSuffix>`. */
  hostSuffix: string;
  /** Where zips are kept while they are built. */
  archiveDirectory: string;
  maxArchiveBytes: number;
  lifecycle: Lifecycle;
  /** What becomes of a MicroVM that ran when its VMM, or its host, is gone: it ends, or goes on from its last snapshot. */
  lostVms: 'end' | 'restore';
  /** Builds under way at a time; further ones wait as PENDING. */
  parallelBuilds: number;
}

export interface AppDependencies {
  db: Database;
  node: NodeClient;
  objects: ObjectStore;
  clock: Clock;
  log: Log;
  settings: AppSettings;
  mintToken(order: TokenOrder): Promise<string>;
  tokens: TokenRevoker;
  scrubber: Scrubber;
  /** What the gateway has counted so far. */
  traffic(): Promise<Traffic>;
  /** Called before a MicroVM is written down, where its endpoint has to be opened first. */
  openEndpoint?(microvmId: string): Promise<void>;
  /** Gives it back: the MicroVM has ended, or was never written down. Never throws. */
  closeEndpoint?(microvmId: string): void;
  /** The `endpoint` member of answers; the bare host when absent. */
  endpointOf?(microvmId: string, host: string): string;
}

/** Who calls. */
export interface Caller {
  account: string;
}
