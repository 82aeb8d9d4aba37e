import { expect, test } from 'vitest';
import type { TrustSnapshot } from '../token-trust.ts';
import { FollowedTrust, TrustVersion } from './followed-trust.ts';

const nothing: TrustSnapshot = { keys: [], floor: 0, revokedTokens: [], revokedMicrovms: [] };
const claims = { microvmId: 'vm', jti: 'a', ports: 'all' as const, exp: 1, sequence: 0 };

test('once a version is announced, nothing is judged by an older one', () => {
  const version = new TrustVersion();
  const sent: (() => void)[] = [];
  let caughtUp = 0;
  const trust = new FollowedTrust({ version: 0, snapshot: nothing }, new TrustVersion(version.buffer), () => {
    caughtUp += 1;
    for (const take of sent.splice(0)) take();
  });
  expect(trust.isRevoked(claims)).toBe(false);
  const key = { kid: 'k', secret: 'A'.repeat(43) };
  sent.push(() => trust.replace({ version: 1, snapshot: { ...nothing, keys: [key], revokedTokens: ['a'] } }));
  expect([trust.isRevoked(claims), caughtUp]).toEqual([false, 0]);
  version.set(1);
  expect([trust.isRevoked(claims), caughtUp]).toEqual([true, 1]);
  expect([trust.find('k')?.secret.length, caughtUp]).toEqual([32, 1]);
});
