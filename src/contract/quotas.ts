// The quotas of an account by the names under which they are set (`--quota`) and shown. Reference k.1.
import { type Limits, type Rate, type RateName, rateNames } from './limits.ts';

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

export type QuotaName = CountName | RateName;

export const quotaNames: readonly QuotaName[] = [...countNames, ...rateNames];

/** All quotas in force. */
export function quotasOf(limits: Limits): Record<QuotaName, Rate> {
  const counts = countNames.map((name) => [name, limits[countQuotas[name]]]);
  return { ...Object.fromEntries(counts), ...limits.rates };
}
