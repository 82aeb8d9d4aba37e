import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { CompactEncrypt } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../lib/manual-clock.ts';
import { type KeyRing, openKeyRing } from './key-ring.ts';
import { allowsPort, createTokens, type TokenReader, type Tokens } from './token.ts';

const clock = new ManualClock();
let directory: string;
let path: string;
let ring: KeyRing;
let tokens: Tokens;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-token-'));
  path = join(directory, 'keys', 'tokens.json');
  ring = await openKeyRing(path, clock);
  tokens = createTokens(ring);
});
afterEach(async () => {
  await ring[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function verify(reader: TokenReader, token: string | undefined, microvmId: string, port: number, nowMs: number) {
  const claims = await reader.read(token, microvmId, nowMs);
  if (!claims) return 'missing';
  return allowsPort(claims, port) ? 'ok' : 'port denied';
}

const order = (ports: Parameters<Tokens['mint']>[0]['ports']) => ({
  microvmId: 'microvm-1',
  ports,
  expiresAtMs: clock.now() + 60_000,
});

test('a token opens its MicroVM and ports until it expires, also from the cache', async () => {
  const token = await tokens.mint(order([{ start: 8000, end: 8080 }]));
  expect(token).toMatch(/^[\w-]+\.\.[\w-]+\.[\w-]+\.[\w-]+$/);
  const now = clock.now();
  for (let round = 0; round < 2; round++) {
    expect(await verify(tokens, token, 'microvm-1', 8000, now)).toBe('ok');
    expect(await verify(tokens, token, 'microvm-1', 8080, now + 59_999)).toBe('ok');
    expect(await verify(tokens, token, 'microvm-1', 7999, now)).toBe('port denied');
    expect(await verify(tokens, token, 'microvm-1', 8081, now)).toBe('port denied');
    expect(await verify(tokens, token, 'microvm-2', 8080, now)).toBe('missing');
    expect(await verify(tokens, token, 'microvm-1', 8080, now + 60_000)).toBe('missing');
  }
});

test('all ports and no ports', async () => {
  expect(await verify(tokens, await tokens.mint(order('all')), 'microvm-1', 65_535, clock.now())).toBe('ok');
  expect(await verify(tokens, await tokens.mint(order([])), 'microvm-1', 1, clock.now())).toBe('port denied');
});

test('the protected header names the key and shows nothing else', async () => {
  const [header = ''] = (await tokens.mint(order('all'))).split('.');
  expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
    alg: 'dir',
    enc: 'A256GCM',
    kid: ring.current().kid,
  });
});

test('arbitrary text and a changed character are refused', async () => {
  const token = await tokens.mint(order('all'));
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.nat(token.length - 1), async (text, at) => {
      expect(await verify(tokens, text, 'microvm-1', 80, clock.now())).toBe('missing');
      const swapped = token[at] === 'A' ? 'B' : 'A';
      const changed = token.slice(0, at) + swapped + token.slice(at + 1);
      // The last character of a part may hold bits that decode to nothing.
      const same = changed.split('.').every((part, i) => decode(part) === decode(token.split('.')[i] ?? ''));
      if (!same) expect(await verify(tokens, changed, 'microvm-1', 80, clock.now())).toBe('missing');
    }),
  );
  expect(await verify(tokens, undefined, 'microvm-1', 80, clock.now())).toBe('missing');
  expect(await verify(tokens, 'x'.repeat(100_000), 'microvm-1', 80, clock.now())).toBe('missing');
});
const decode = (part: string): string => Buffer.from(part, 'base64url').toString('hex');

test('claims of another shape are refused although our key sealed them', async () => {
  const { kid, secret } = ring.current();
  const seal = (claims: unknown) =>
    new CompactEncrypt(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid })
      .encrypt(secret);
  const good = { microvmId: 'microvm-1', ports: 'all', exp: clock.now() / 1000 + 60, jti: 'j' };
  expect(await verify(tokens, await seal(good), 'microvm-1', 80, clock.now())).toBe('ok');
  for (const wrong of [{ ...good, ports: 'some' }, { ...good, exp: null }, { ...good, shell: 1 }, 7, null]) {
    expect(await verify(tokens, await seal(wrong), 'microvm-1', 80, clock.now())).toBe('missing');
  }
});

test('minting refuses ports that do not exist', async () => {
  await expect(tokens.mint(order([{ start: 0, end: 80 }]))).rejects.toMatchObject({ code: 'invalid_input' });
});

test('a token that was read before is read at once, without a promise', async () => {
  const token = await tokens.mint(order('all'));
  const first = tokens.read(token, 'microvm-1', clock.now());
  expect(first).toBeInstanceOf(Promise);
  expect(tokens.read(token, 'microvm-1', clock.now())).toBeInstanceOf(Promise);
  expect(tokens.read(token, 'microvm-1', clock.now() + 60_000)).toBeInstanceOf(Promise);
  const claims = await first;
  expect(tokens.read(token, 'microvm-1', clock.now())).toEqual(claims);
  expect(tokens.read(token, 'microvm-1', clock.now() + 60_000)).toBeUndefined();
});

test('ports are kept in as few ranges as there can be; what would be too long to be read is not minted', async () => {
  const single = (port: number) => ({ start: port, end: port });
  const many = await tokens.mint(order(Array.from({ length: 1000 }, (_, i) => single(2000 - i))));
  expect(many.length).toBeLessThan(1000);
  expect((await tokens.claimsOf(many))?.ports).toEqual([{ start: 1001, end: 2000 }]);
  const apart = Array.from({ length: 1000 }, (_, i) => single(10_000 + 2 * i));
  await expect(tokens.mint(order(apart))).rejects.toMatchObject({ code: 'invalid_input' });
});
