// The two sets of limits: `aws` has the original's walls, `open` lifts those that only protect AWS.
import { type EndpointLimits, type Limits, type Rate, type RateName, rateNames } from '../contract/limits.ts';
import { defaultCpuPercent, defaultOutboundBytes, idleSignals } from './idle-signals.ts';
import { withQuotas } from './quotas.ts';
import type { ServerSettings } from './settings.ts';

const gib = 1024;

/** By size: bandwidth, request rate and connections, in multiples of the smallest. AWS names the rates of two sizes; the others lie between. */
const awsEndpoint = Object.fromEntries(
  [512, 1024, 2048, 4096, 8192].map((size): [number, EndpointLimits] => {
    const times = size / 512;
    return [size, { bytesPerSecond: times * 1_000_000, requestsPerSecond: times * 10, connections: times * 8 }];
  }),
);

const noEndpointLimits = Object.fromEntries(
  Object.keys(awsEndpoint).map((size): [string, EndpointLimits] => [
    size,
    { bytesPerSecond: 'unlimited', requestsPerSecond: 'unlimited', connections: 'unlimited' },
  ]),
);

const unlimited = Object.fromEntries(rateNames.map((name) => [name, 'unlimited'])) as Record<RateName, Rate>;

export const profiles: Readonly<Record<Limits['name'], Limits>> = {
  open: {
    name: 'open',
    minIdleSeconds: 1,
    maxIdleSeconds: 365 * 86_400,
    maxDurationSeconds: 365 * 86_400,
    defaultDurationSeconds: 28_800,
    maxTokenMinutes: 10_080,
    holdWhilePending: true,
    idleSignals: { requests: true, lease: true, cpuPercent: defaultCpuPercent, outboundBytes: defaultOutboundBytes },
    anyArchitecture: true,
    imageHookSeconds: 300,
    microvmHookSeconds: 10,
    suspendHookFailureEnds: false,
    maxImages: 10_000,
    maxOpenBuilds: 100,
    maxVersions: 1000,
    maxConnectors: 1000,
    maxMemoryMib: 1 << 30,
    rates: unlimited,
    launchWhileUpdating: true,
    endpoint: noEndpointLimits,
    sizes: {
      512: { baselineMib: 512, memoryMib: 512, vcpus: 1, diskMib: 8 * gib },
      1024: { baselineMib: 1024, memoryMib: 1024, vcpus: 1, diskMib: 8 * gib },
      2048: { baselineMib: 2048, memoryMib: 2048, vcpus: 1, diskMib: 8 * gib },
      4096: { baselineMib: 4096, memoryMib: 4096, vcpus: 2, diskMib: 16 * gib },
      8192: { baselineMib: 8192, memoryMib: 8192, vcpus: 4, diskMib: 32 * gib },
    },
  },
  aws: {
    name: 'aws',
    minIdleSeconds: 60,
    maxIdleSeconds: 28_800,
    maxDurationSeconds: 28_800,
    defaultDurationSeconds: 28_800,
    maxTokenMinutes: 60,
    holdWhilePending: false,
    idleSignals: { requests: false, lease: false },
    anyArchitecture: false,
    imageHookSeconds: 30,
    microvmHookSeconds: 1,
    suspendHookFailureEnds: true,
    maxImages: 100,
    maxOpenBuilds: 5,
    maxVersions: 50,
    maxConnectors: 100,
    maxMemoryMib: 400 * gib,
    rates: {
      'run-per-second': 5,
      'suspend-per-second': 2,
      'terminate-per-second': 10,
      'get-per-second': 100,
      'auth-token-per-second': 50,
      'shell-auth-token-per-second': 5,
      'read-per-second': 100,
      'write-per-second': 10,
    },
    launchWhileUpdating: false,
    endpoint: awsEndpoint,
    sizes: {
      512: { baselineMib: 512, memoryMib: 2048, vcpus: 1, diskMib: 8 * gib },
      1024: { baselineMib: 1024, memoryMib: 4096, vcpus: 2, diskMib: 8 * gib },
      2048: { baselineMib: 2048, memoryMib: 8192, vcpus: 4, diskMib: 8 * gib },
      4096: { baselineMib: 4096, memoryMib: 16_384, vcpus: 8, diskMib: 16 * gib },
      8192: { baselineMib: 8192, memoryMib: 32_768, vcpus: 16, diskMib: 32 * gib },
    },
  },
};

/** The limits of the profile with what the operator set. `processors`: of this host; in profile `open` no guest has more. */
export function limitsOf(
  { profile, quotas, idleSignals: words }: Pick<ServerSettings, 'profile' | 'quotas' | 'idleSignals'>,
  processors: number,
): Limits {
  const withoutSignals = withQuotas(profiles[profile], quotas);
  const limits = words === undefined ? withoutSignals : { ...withoutSignals, idleSignals: idleSignals(words) };
  if (profile === 'aws') return limits;
  const sizes = Object.entries(limits.sizes).map(([asked, size]) => [
    asked,
    { ...size, vcpus: Math.min(size.vcpus, Math.max(1, processors)) },
  ]);
  return { ...limits, sizes: Object.fromEntries(sizes) };
}
