// Quotas that the operator sets: `NAME=VALUE` over what the profile has.
import { z } from 'zod';
import { type EndpointLimits, type Limits, type Rate, type RateName, rateNames } from '../contract/limits.ts';
import {
  countQuotas,
  type EndpointQuotaName,
  endpointQuotaNames,
  endpointQuotas,
  type QuotaName,
  quotaNames,
} from '../contract/quotas.ts';

const isRate = (name: QuotaName): name is RateName => rateNames.some((each) => each === name);

const isEndpoint = (name: QuotaName): name is EndpointQuotaName => endpointQuotaNames.some((each) => each === name);

/** Both ends, inclusive. */
function boundsOf(name: QuotaName): readonly [number, number] {
  if (isRate(name)) return [1, 1_000_000];
  if (isEndpoint(name)) return name === 'endpoint-bytes-per-second' ? [1000, 10_000_000_000] : [1, 1_000_000];
  return name === 'duration-seconds' ? [1, 365 * 86_400] : [0, 2 ** 30];
}

/** A quota as text: `images=200`, `run-per-second=unlimited`. */
export const quotaSetting = z.string().superRefine((text, context) => {
  const read = readQuota(text);
  if ('wrong' in read) context.addIssue({ code: 'custom', message: read.wrong });
});

/** The limits with these quotas, which were checked by `quotaSetting`. */
export function withQuotas(limits: Limits, settings: readonly string[]): Limits {
  const changed = { ...limits, rates: { ...limits.rates } };
  for (const text of settings) {
    const read = readQuota(text);
    if ('wrong' in read) continue;
    const { name, value } = read;
    if (isRate(name)) changed.rates[name] = value;
    else if (isEndpoint(name)) changed.endpoint = withEndpoint(changed.endpoint, name, value);
    else if (value !== 'unlimited') changed[countQuotas[name]] = value;
  }
  const defaultDurationSeconds = Math.min(limits.defaultDurationSeconds, changed.maxDurationSeconds);
  return { ...changed, defaultDurationSeconds };
}

function withEndpoint(endpoint: Limits['endpoint'], name: EndpointQuotaName, value: Rate): Limits['endpoint'] {
  const sizes = Object.entries(endpoint).map(([size, limits]): [string, EndpointLimits] => [
    size,
    { ...limits, [endpointQuotas[name]]: value },
  ]);
  return Object.fromEntries(sizes);
}

function readQuota(text: string): { name: QuotaName; value: Rate } | { wrong: string } {
  const [, given, value = ''] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  const name = quotaNames.find((each) => each === given);
  if (name === undefined) {
    const wrong = given === undefined ? `"${text}" is not NAME=VALUE` : `there is no quota "${given}"`;
    return { wrong: `${wrong}; there are: ${quotaNames.join(', ')}` };
  }
  const mayBeUnlimited = isRate(name) || isEndpoint(name);
  if (mayBeUnlimited && value === 'unlimited') return { name, value };
  const [least, most] = boundsOf(name);
  const count = /^\d{1,10}$/.test(value) ? Number(value) : Number.NaN;
  if (count >= least && count <= most) return { name, value: count };
  return { wrong: `${name} must be a whole number, ${least} to ${most}${mayBeUnlimited ? ', or unlimited' : ''}` };
}
