// The quotas of an account by the names under which they are set (`--quota`) and shown. Reference k.1.
import { type EndpointLimits, type Limits, type Rate, type RateName, rateNames } from './limits.ts';

/** What is counted, and the limit that it is. */
export const countQuotas = {
  images: 'maxImages',
  'versions-per-image': 'maxVersions',
  'concurrent-builds': 'maxOpenBuilds',
  connectors: 'maxConnectors',
  'memory-mib': 'maxMemoryMib',
  'duration-seconds': 'maxDurationSeconds',
} as const satisfies Record<string, keyof Limits>;

export type CountName = keyof typeof countQuotas;

export const countNames = Object.keys(countQuotas) as CountName[];

/** Of the endpoint of each MicroVM, whatever its size. */
export const endpointQuotas = {
  'endpoint-bytes-per-second': 'bytesPerSecond',
  'endpoint-requests-per-second': 'requestsPerSecond',
  'endpoint-connections': 'connections',
} as const satisfies Record<string, keyof EndpointLimits>;

export type EndpointQuotaName = keyof typeof endpointQuotas;

export const endpointQuotaNames = Object.keys(endpointQuotas) as EndpointQuotaName[];

export type QuotaName = CountName | RateName | EndpointQuotaName;

export const quotaNames: readonly QuotaName[] = [...countNames, ...rateNames, ...endpointQuotaNames];

/** All quotas of an account that are in force. */
export function quotasOf(limits: Limits): Record<CountName | RateName, Rate> {
  const counts = countNames.map((name) => [name, limits[countQuotas[name]]]);
  return { ...Object.fromEntries(counts), ...limits.rates };
}
