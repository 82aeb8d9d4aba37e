// What the AWS API has no words for: the server itself, stage times of a MicroVM, the log of a build.
import type { Limits } from '../contract/limits.ts';
import type { Leftover, NodeStatistics } from '../contract/node-api.ts';
import { quotasOf } from '../contract/quotas.ts';
import type { MicrovmState } from '../contract/states.ts';
import type { MicrovmRow } from '../store/tables.ts';
import { requireMicrovm } from './caller-checks.ts';
import type { AppContext } from './context.ts';
import { type Collection, collectGarbage } from './garbage/collect.ts';
import { survey } from './garbage/find-orphans.ts';
import type { Orphan } from './garbage/orphan.ts';
import { type Reaping, type ReapOrder, reapOrphans } from './garbage/reap.ts';
import { type Lease, leaseEnd, leaseMicrovm } from './lease.ts';
import { metricsText } from './metrics/metrics-text.ts';
import { type MicrovmTraffic, trafficOf } from './metrics/microvm-traffic.ts';
import { type MicrovmReport, readReport } from './report.ts';
import { requireBuild } from './require-version.ts';
import {
  type Revoked,
  type RevokeOrder,
  requireServerAccount,
  revokeTokens,
  rotateTokenKeys,
} from './revoke-tokens.ts';
import { type DamageFacts, damageFacts, type ScrubFacts, scrubFacts, startScrub } from './scrubbing.ts';
import type { Caller } from './settings.ts';
import { type Signal, signalTimes } from './signal-times.ts';

export interface ServerInfo {
  version: string;
  profile: 'open' | 'aws';
  region: string;
  driver: string;
  accelerator: string;
  architecture: string;
  /** In force for each account. */
  quotas: ReturnType<typeof quotasOf>;
  /** By the `minimumMemoryInMiB` of the image. */
  endpointLimits: Limits['endpoint'];
  /** What keeps a MicroVM awake beside bytes that come in. */
  idleSignals: Limits['idleSignals'];
}

export interface MicrovmFacts extends Omit<MicrovmReport, 'fromSnapshot'> {
  microvmId: string;
  state: MicrovmState;
  host: string;
  /** While it runs: what it takes of its host now. */
  statistics?: NodeStatistics;
  /** While it runs: when each sign of use was last seen, as ISO 8601; absent ones were not since it began to run. */
  lastSeen?: Partial<Record<Signal, string>>;
  /** ISO 8601; null when no lease is in force. */
  leasedUntil: string | null;
  /** Since the server's start. */
  traffic: MicrovmTraffic;
  /** Files that it needs to wake and that are damaged, its image's among them; absent when there are none. */
  damage?: DamageFacts[];
}

export interface Extension {
  info(): ServerInfo;
  microvm(caller: Caller, microvmId: string): Promise<MicrovmFacts>;
  /** As `leaseMicrovm`. */
  lease(caller: Caller, microvmId: string, seconds: number): Promise<Lease>;
  /** The log as text; for a build that failed before its first line, the reason. */
  buildLog(caller: Caller, buildId: string): Promise<string>;
  /** In Prometheus's text format. For the server's own account. */
  metrics(caller: Caller): Promise<string>;
  /** Things without an owner, largest first, and what the host goes on trying to remove. For the server's own account, as all that cleans up. */
  orphans(caller: Caller): Promise<{ orphans: Orphan[]; leftovers: Leftover[] }>;
  reapOrphans(caller: Caller, order: ReapOrder): Promise<Reaping>;
  collectGarbage(caller: Caller, order: { dryRun: boolean }): Promise<Collection>;
  revokeTokens(caller: Caller, order: RevokeOrder): Promise<Revoked>;
  /** For the server's own account. */
  rotateTokenKeys(caller: Caller): Promise<void>;
  /** For the server's own account. */
  scrub(caller: Caller): ScrubFacts;
  /** As `startScrub`; for the server's own account. */
  startScrub(caller: Caller, mibPerSecond?: number): ScrubFacts;
}

export function createExtension(app: AppContext): Extension {
  const { version, region, limits } = app.settings;
  return {
    info() {
      const { confinesEgress: _inside, ...host } = app.node.info();
      return {
        version,
        profile: limits.name,
        region,
        ...host,
        quotas: quotasOf(limits),
        endpointLimits: limits.endpoint,
        idleSignals: limits.idleSignals,
      };
    },
    async microvm(caller, microvmId) {
      const row = await requireMicrovm(app, caller, microvmId);
      const damage = app.scrubber.damageOf({ microvmId, buildId: row.buildId });
      const statistics =
        row.state === 'RUNNING' ? await app.node.statistics(microvmId).catch(() => undefined) : undefined;
      const { fromSnapshot: _, ...report } = readReport(row);
      return {
        ...{ microvmId, state: row.state, host: row.host, ...report },
        ...(statistics ? { statistics } : {}),
        ...lastSeen(app, row),
        leasedUntil: leaseEnd(row.leaseUntilMs, app.clock.steady()),
        traffic: trafficOf(app, microvmId, await app.traffic()),
        ...(damage.length === 0 ? {} : { damage: damage.map(damageFacts) }),
      };
    },
    lease: (caller, microvmId, seconds) => leaseMicrovm(app, caller, microvmId, seconds),
    async buildLog(caller, buildId) {
      const build = await requireBuild(app, caller, buildId);
      const log = await app.node.buildLog(buildId);
      return log === '' && build.stateReason !== null ? `${build.stateReason}\n` : log;
    },
    async metrics(caller) {
      requireServerAccount(app, caller);
      return metricsText(app);
    },
    async orphans(caller) {
      requireServerAccount(app, caller);
      return { orphans: (await survey(app)).orphans, leftovers: app.node.leftovers() };
    },
    async reapOrphans(caller, order) {
      requireServerAccount(app, caller);
      return reapOrphans(app, order);
    },
    async collectGarbage(caller, order) {
      requireServerAccount(app, caller);
      return collectGarbage(app, order);
    },
    revokeTokens: (caller, order) => revokeTokens(app, caller, order),
    rotateTokenKeys: (caller) => rotateTokenKeys(app, caller),
    scrub: (caller) => scrubFacts(app, caller),
    startScrub: (caller, mibPerSecond) => startScrub(app, caller, mibPerSecond),
  };
}

function lastSeen(app: AppContext, { microvmId, state }: MicrovmRow): Pick<MicrovmFacts, 'lastSeen'> {
  const vm = app.index.get(microvmId);
  if (!vm || state !== 'RUNNING') return {};
  const times = Object.entries(signalTimes(app, vm)).map(([name, ms]) => [name, new Date(ms).toISOString()]);
  return { lastSeen: Object.fromEntries(times) };
}
