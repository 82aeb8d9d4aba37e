import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { CompactEncrypt } from 'jose';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../lib/manual-clock.ts';
import { type KeyRing, openKeyRing } from './key-ring.ts';
import { createTokens, type Tokens } from './token.ts';

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
afterEach(() => rm(directory, { recursive: true, force: true }));

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
    expect(await tokens.verify(token, 'microvm-1', 8000, now)).toBe('ok');
    expect(await tokens.verify(token, 'microvm-1', 8080, now + 59_999)).toBe('ok');
    expect(await tokens.verify(token, 'microvm-1', 7999, now)).toBe('port denied');
    expect(await tokens.verify(token, 'microvm-1', 8081, now)).toBe('port denied');
    expect(await tokens.verify(token, 'microvm-2', 8080, now)).toBe('missing');
    expect(await tokens.verify(token, 'microvm-1', 8080, now + 60_000)).toBe('missing');
  }
});

test('all ports and no ports', async () => {
  expect(await tokens.verify(await tokens.mint(order('all')), 'microvm-1', 65_535, clock.now())).toBe('ok');
  expect(await tokens.verify(await tokens.mint(order([])), 'microvm-1', 1, clock.now())).toBe('port denied');
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
      expect(await tokens.verify(text, 'microvm-1', 80, clock.now())).toBe('missing');
      const swapped = token[at] === 'A' ? 'B' : 'A';
      const changed = token.slice(0, at) + swapped + token.slice(at + 1);
      // The last character of a part may hold bits that decode to nothing.
      const same = changed.split('.').every((part, i) => decode(part) === decode(token.split('.')[i] ?? ''));
      if (!same) expect(await tokens.verify(changed, 'microvm-1', 80, clock.now())).toBe('missing');
    }),
  );
  expect(await tokens.verify(undefined, 'microvm-1', 80, clock.now())).toBe('missing');
  expect(await tokens.verify('x'.repeat(100_000), 'microvm-1', 80, clock.now())).toBe('missing');
});
const decode = (part: string): string => Buffer.from(part, 'base64url').toString('hex');

test('claims of another shape are refused although our key sealed them', async () => {
  const { kid, secret } = ring.current();
  const seal = (claims: unknown) =>
    new CompactEncrypt(Buffer.from(JSON.stringify(claims)))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid })
      .encrypt(secret);
  const good = { microvmId: 'microvm-1', ports: 'all', exp: clock.now() / 1000 + 60, jti: 'j' };
  expect(await tokens.verify(await seal(good), 'microvm-1', 80, clock.now())).toBe('ok');
  for (const wrong of [{ ...good, ports: 'some' }, { ...good, exp: null }, { ...good, shell: 1 }, 7, null]) {
    expect(await tokens.verify(await seal(wrong), 'microvm-1', 80, clock.now())).toBe('missing');
  }
});

test('minting refuses ports that do not exist', async () => {
  await expect(tokens.mint(order([{ start: 0, end: 80 }]))).rejects.toMatchObject({ code: 'invalid_input' });
});

test('tokens survive a restart and one rotation, not two', async () => {
  const token = await tokens.mint(order('all'));
  const verify = async () => createTokens(await openKeyRing(path, clock)).verify(token, 'microvm-1', 80, clock.now());
  expect(await verify()).toBe('ok');
  await ring.rotate();
  expect(await verify()).toBe('ok');
  await ring.rotate();
  expect(await verify()).toBe('missing');
});

test('an old key is rotated when the ring is opened', async () => {
  const before = ring.current().kid;
  const later = new ManualClock(clock.now() + 31 * 86_400_000);
  const after = await openKeyRing(path, later);
  expect(after.current().kid).not.toBe(before);
  expect(after.find(before)?.kid).toBe(before);
});

test('the key file is private, and damage is an error that names it', async () => {
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readFile(path, 'utf8')).toContain('"format":1');
  await writeFile(path, '{"format":1');
  await expect(openKeyRing(path, clock)).rejects.toThrow(path);
});

test('the cache is bounded and forgetting only costs time', async () => {
  const small = createTokens(ring, 2);
  const minted = await Promise.all([1, 2, 3, 4].map(() => small.mint(order('all'))));
  for (const token of [...minted, ...minted]) {
    expect(await small.verify(token, 'microvm-1', 80, clock.now())).toBe('ok');
  }
});
