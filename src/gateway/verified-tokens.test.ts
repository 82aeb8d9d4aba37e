import { expect, test } from 'vitest';
import type { TokenClaims } from '../contract/token-claims.ts';
import { VerifiedTokens } from './verified-tokens.ts';

const claimsFor = (microvmId: string): TokenClaims => ({ microvmId, ports: 'all', exp: 1, jti: 'j', sequence: 0 });
const text = (name: string): string => name.padEnd(10, '.');
const held = (cache: VerifiedTokens, microvmId: string, names: string[]): string[] =>
  names.filter((name) => cache.get(microvmId, text(name)) !== undefined);

test('whoever brings many tokens pushes out his own, not those of a neighbour', () => {
  const cache = new VerifiedTokens(100);
  for (const name of ['a', 'b']) cache.add(text(name), claimsFor('quiet'));
  for (let i = 0; i < 1000; i++) cache.add(text(`n${i}`), claimsFor('busy'));
  expect(held(cache, 'quiet', ['a', 'b'])).toEqual(['a', 'b']);
  expect(held(cache, 'busy', ['n991', 'n992', 'n999'])).toEqual(['n992', 'n999']);
});

test('what is used stays longer than what is not', () => {
  const cache = new VerifiedTokens(30);
  for (const name of ['a', 'b', 'c', 'd']) cache.add(text(name), claimsFor('vm'));
  // `a` had to go; the others have had their second chance.
  cache.get('vm', text('b'));
  cache.add(text('e'), claimsFor('vm'));
  expect(held(cache, 'vm', ['a', 'b', 'c', 'd', 'e'])).toEqual(['b', 'd', 'e']);
});

test('a token opens only the MicroVM it was found good for, and nothing once it is forgotten', () => {
  const cache = new VerifiedTokens(30);
  cache.add(text('a'), claimsFor('vm'));
  expect(cache.get('other', text('a'))).toBeUndefined();
  cache.delete('vm', text('a'));
  expect(cache.get('vm', text('a'))).toBeUndefined();
  for (const name of ['a', 'b', 'c']) cache.add(text(name), claimsFor('vm'));
  cache.drop('vm');
  for (const name of ['d', 'e', 'f']) cache.add(text(name), claimsFor('vm'));
  expect(held(cache, 'vm', ['a', 'b', 'c', 'd', 'e', 'f'])).toEqual(['d', 'e', 'f']);
});
