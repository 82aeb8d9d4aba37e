import { expect, test } from 'vitest';
import { rateNames } from '../contract/limits.ts';
import { countNames, endpointQuotaNames, endpointQuotas, quotasOf } from '../contract/quotas.ts';
import { limitsOf, profiles } from './profiles.ts';
import { withQuotas } from './quotas.ts';
import { parseSettings } from './settings.ts';

const settings = (quotas: string[], profile: 'open' | 'aws' = 'aws') =>
  parseSettings({ dataDirectory: '/d', toolkitDirectory: '/t', profile, quotas });

test('every quota can be set, over either profile, and is shown as set', () => {
  for (const profile of ['open', 'aws'] as const) {
    for (const name of [...countNames, ...rateNames]) {
      const limits = limitsOf(settings([`${name}=77`], profile), 2);
      expect(quotasOf(limits)).toEqual({ ...quotasOf(profiles[profile]), [name]: 77 });
      expect(limits.endpoint).toEqual(profiles[profile].endpoint);
    }
    for (const name of endpointQuotaNames) {
      for (const value of [7777, 'unlimited'] as const) {
        const { endpoint } = limitsOf(settings([`${name}=${value}`], profile), 2);
        for (const [size, limits] of Object.entries(profiles[profile].endpoint)) {
          expect(endpoint[Number(size)]).toEqual({ ...limits, [endpointQuotas[name]]: value });
        }
      }
    }
  }
});

test('the documented quotas of AWS', () => {
  expect(quotasOf(profiles.aws)).toEqual({
    ...{ images: 100, 'versions-per-image': 50, 'concurrent-builds': 5, connectors: 100 },
    ...{ 'memory-mib': 409_600, 'duration-seconds': 28_800 },
    ...{ 'run-per-second': 5, 'suspend-per-second': 2, 'terminate-per-second': 10, 'get-per-second': 100 },
    ...{ 'auth-token-per-second': 50, 'shell-auth-token-per-second': 5 },
    ...{ 'read-per-second': 100, 'write-per-second': 10 },
  });
});

test('the documented limits of endpoints by size', () => {
  expect(profiles.aws.endpoint).toEqual({
    512: { bytesPerSecond: 1_000_000, requestsPerSecond: 10, connections: 8 },
    1024: { bytesPerSecond: 2_000_000, requestsPerSecond: 20, connections: 16 },
    2048: { bytesPerSecond: 4_000_000, requestsPerSecond: 40, connections: 32 },
    4096: { bytesPerSecond: 8_000_000, requestsPerSecond: 80, connections: 64 },
    8192: { bytesPerSecond: 16_000_000, requestsPerSecond: 160, connections: 128 },
  });
  expect(Object.keys(profiles.open.endpoint)).toEqual(Object.keys(profiles.open.sizes));
  expect(Object.keys(profiles.aws.endpoint)).toEqual(Object.keys(profiles.aws.sizes));
});

test('the last one of a name counts; rates can be lifted; a shorter longest life is also the default', () => {
  const limits = withQuotas(profiles.aws, ['images=1', 'images=2', 'run-per-second=unlimited', 'duration-seconds=60']);
  expect(limits).toMatchObject({ maxImages: 2, maxDurationSeconds: 60, defaultDurationSeconds: 60 });
  expect(limits.rates['run-per-second']).toBe('unlimited');
  expect(profiles.aws.rates['run-per-second']).toBe(5);
  expect(withQuotas(profiles.aws, ['duration-seconds=99999']).defaultDurationSeconds).toBe(28_800);
});

test.each([
  ['pictures=1', 'there is no quota "pictures"; there are: images, versions-per-image'],
  ['maxImages=1', 'there is no quota'],
  ['toString=1', 'there is no quota'],
  ['images', '"images" is not NAME=VALUE; there are: images'],
  ['', 'is not NAME=VALUE'],
  ['images=', 'images must be a whole number, 0 to 1073741824'],
  ['images=-1', 'images must be'],
  ['images=1.5', 'images must be'],
  ['images=1e3', 'images must be'],
  ['images=unlimited', 'images must be'],
  ['images=1073741825', 'images must be'],
  ['images=1=2', 'images must be'],
  ['duration-seconds=0', 'duration-seconds must be a whole number, 1 to 31536000'],
  ['run-per-second=0', 'run-per-second must be a whole number, 1 to 1000000, or unlimited'],
  ['run-per-second=Infinity', 'run-per-second must be'],
])('%j is refused with what there is', (text, message) => {
  expect(() => settings([text])).toThrow(message);
});

test('in profile open a guest has no more processors than the host, and at least one; in aws it has its peak', () => {
  const vcpus = (profile: 'open' | 'aws', processors: number) =>
    Object.values(limitsOf(settings([], profile), processors).sizes).map((size) => size.vcpus);
  expect(vcpus('open', 64)).toEqual([1, 1, 1, 2, 4]);
  expect(vcpus('open', 3)).toEqual([1, 1, 1, 2, 3]);
  expect(vcpus('open', 0)).toEqual([1, 1, 1, 1, 1]);
  expect(vcpus('aws', 2)).toEqual([1, 2, 4, 8, 16]);
});
