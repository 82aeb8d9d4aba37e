import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../lib/manual-clock.ts';
import { openSealed } from '../lib/sealed-json.ts';
import { type KeyRing, type KeyRingOptions, openKeyRing } from './key-ring.ts';
import { createTokenReader, createTokens } from './token.ts';
import { HeldTrust } from './token-trust.ts';

const [hourMs, dayMs] = [3_600_000, 86_400_000];
const options: KeyRingOptions = { rotateAfterMs: 30 * dayMs, maxTokenMs: 7 * dayMs };
let clock: ManualClock;
let directory: string;
let path: string;
let rings: KeyRing[];

beforeEach(async () => {
  clock = new ManualClock();
  directory = await mkdtemp(join(tmpdir(), 'waterbear-keys-'));
  path = join(directory, 'keys', 'tokens.json');
  rings = [];
});
afterEach(async () => {
  for (const ring of rings) await ring[Symbol.asyncDispose]();
  await rm(directory, { recursive: true, force: true });
});

async function open(at = clock): Promise<KeyRing> {
  const ring = await openKeyRing(path, at, options);
  rings.push(ring);
  return ring;
}

const mint = (ring: KeyRing, minutes = 10_080, microvmId = 'microvm-1'): Promise<string> =>
  createTokens(ring).mint({ microvmId, ports: 'all', expiresAtMs: clock.now() + minutes * 60_000 });

const holds = async (ring: KeyRing, token: string, microvmId = 'microvm-1'): Promise<boolean> =>
  (await createTokens(ring).read(token, microvmId, clock.now())) !== undefined;

/** Time in which files are really written goes by while the clock stands. */
async function pass(ms: number): Promise<void> {
  for (let at = 0; at < ms; at += hourMs) {
    await clock.advance(hourMs);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** For what the ring does on its own: as many looks as it takes to see it, which is few. */
async function passUntil(what: () => boolean): Promise<void> {
  for (let hours = 0; hours < 20 && !what(); hours++) {
    await pass(hourMs);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const keysIn = async (): Promise<unknown[]> => JSON.parse(openSealed(await readFile(path, 'utf8'))).keys;

test('the key file is private, and damage is an error that names it', async () => {
  await open();
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  for (const damaged of ['{"format":2', '{"format":2,"keys":[]}', '{"format":3}', '']) {
    await writeFile(path, damaged);
    await expect(openKeyRing(path, clock)).rejects.toThrow(path);
  }
});

test('a file from before there were revocations is taken over', async () => {
  const secret = 'A'.repeat(43);
  const current = { kid: 'new', secret, createdAtMs: clock.now() };
  const previous = { kid: 'old', secret, createdAtMs: clock.now() - dayMs };
  await (await open())[Symbol.asyncDispose]();
  await writeFile(path, JSON.stringify({ format: 1, current, previous }));
  const ring = await open();
  expect(ring.current().kid).toBe('new');
  expect(ring.trust.find('old')?.kid).toBe('old');
});

describe('rotation', () => {
  test('happens while it runs; tokens of earlier keys hold until they expire, over restarts too', async () => {
    const ring = await open();
    const before = ring.current().kid;
    await pass(29 * dayMs);
    expect(ring.current().kid).toBe(before);
    const token = await mint(ring);
    await pass(dayMs);
    await passUntil(() => ring.current().kid !== before);
    expect(ring.current().kid).not.toBe(before);
    expect(await holds(ring, token)).toBe(true);
    await ring.rotate();
    await ring.rotate();
    expect(await holds(await open(), token)).toBe(true);
    await pass(6 * dayMs);
    expect(await holds(ring, token)).toBe(false);
  });

  test('keys are dropped when none of their tokens can be valid any more', async () => {
    const ring = await open();
    const first = ring.current().kid;
    await pass(dayMs);
    await ring.rotate();
    await pass(7 * dayMs - hourMs);
    expect(ring.trust.find(first)).toBeDefined();
    await passUntil(() => ring.trust.find(first) === undefined);
    expect(ring.trust.find(first)).toBeUndefined();
    expect(await keysIn()).toHaveLength(1);
  });

  test('a key that is due is replaced when the ring is opened', async () => {
    const before = (await open()).current().kid;
    const after = await open(new ManualClock(clock.now() + 31 * dayMs));
    expect(after.current().kid).not.toBe(before);
    expect(after.trust.find(before)?.kid).toBe(before);
  });

  test('a clock that is wrong for a while takes no valid token away and gives no revoked one back', async () => {
    const ring = await open();
    const [good, bad] = [await mint(ring), await mint(ring)];
    await ring.rotate();
    const { jti = '' } = (await createTokens(ring).claimsOf(bad)) ?? {};
    await ring.revokeToken('microvm-1', jti);
    const wrong = await open(new ManualClock(clock.now() + 400 * dayMs));
    expect(await holds(wrong, good)).toBe(true);
    const back = await open();
    await pass(3 * hourMs);
    expect([await holds(back, good), await holds(back, bad)]).toEqual([true, false]);
    // The key that was made with the wrong time does not stay for a year and more.
    expect(back.current().kid).not.toBe(wrong.current().kid);
  });

  test('what could not be written is not used', async () => {
    const ring = await open();
    const before = ring.current().kid;
    await rm(join(directory, 'keys'), { recursive: true });
    await writeFile(join(directory, 'keys'), 'in the way');
    await expect(ring.rotate()).rejects.toThrow();
    expect(ring.current().kid).toBe(before);
    await rm(join(directory, 'keys'));
    await ring.rotate();
    expect(ring.current().kid).not.toBe(before);
  });
});

describe('revocation', () => {
  test('of one token: the others hold; it survives a restart and is forgotten after its expiry', async () => {
    const ring = await open();
    const [one, other] = [await mint(ring, 120), await mint(ring)];
    const claims = await createTokens(ring).claimsOf(one);
    await ring.revokeToken('microvm-1', claims?.jti ?? '', (claims?.exp ?? 0) * 1000);
    await ring.revokeToken('microvm-1', claims?.jti ?? '', (claims?.exp ?? 0) * 1000);
    for (const now of [ring, await open()]) {
      expect([await holds(now, one), await holds(now, other)]).toEqual([false, true]);
    }
    expect(ring.snapshot().revokedTokens).toHaveLength(1);
    await passUntil(() => ring.snapshot().revokedTokens.length === 0);
    expect(ring.snapshot().revokedTokens).toEqual([]);
  });

  test('of a MicroVM: what was minted before, whatever the clock says, and nothing else', async () => {
    const ring = await open();
    const before = await mint(ring);
    const neighbour = await mint(ring, 60, 'microvm-2');
    await ring.revokeMicrovm('microvm-1');
    const after = await mint(ring);
    for (const now of [ring, await open()]) {
      expect([await holds(now, before), await holds(now, after)]).toEqual([false, true]);
      expect(await holds(now, neighbour, 'microvm-2')).toBe(true);
    }
    await ring.revokeMicrovm('microvm-1');
    expect(await holds(ring, after)).toBe(false);
    expect(ring.snapshot().revokedMicrovms).toEqual([['microvm-1', 2]]);
  });

  test('of everything: no earlier key is left', async () => {
    const ring = await open();
    const tokens = createTokens(ring);
    const before = await mint(ring);
    expect(await tokens.read(before, 'microvm-1', clock.now())).toBeDefined();
    await ring.rotate();
    await ring.revokeEverything();
    expect(tokens.read(before, 'microvm-1', clock.now())).toBeUndefined();
    expect(await holds(ring, before)).toBe(false);
    expect(await holds(ring, await mint(ring))).toBe(true);
    expect(await keysIn()).toHaveLength(1);
  });

  test('takes effect on tokens that are remembered, and on followers of the ring', async () => {
    const ring = await open();
    const follower = new HeldTrust(structuredClone(ring.snapshot()));
    ring.onChange((trust) => follower.replace(structuredClone(trust)));
    const readers = [createTokens(ring), createTokenReader(follower)];
    const token = await mint(ring);
    for (const reader of readers) expect(await reader.read(token, 'microvm-1', clock.now())).toBeDefined();
    await ring.revokeMicrovm('microvm-1');
    for (const reader of readers) expect(reader.read(token, 'microvm-1', clock.now())).toBeUndefined();
    await ring.rotate();
    const fresh = await mint(ring);
    for (const reader of readers) expect(await reader.read(fresh, 'microvm-1', clock.now())).toBeDefined();
  });

  test('one by one has a limit for each MicroVM; all at once makes room', async () => {
    const ring = await open();
    const ids = Array.from({ length: 1000 }, (_, i) => `token-${i}`);
    await Promise.all(ids.map((id) => ring.revokeToken('microvm-1', id)));
    await expect(ring.revokeToken('microvm-1', 'one-more')).rejects.toMatchObject({ code: 'quota_exceeded' });
    await ring.revokeToken('microvm-2', 'another');
    await ring.revokeMicrovm('microvm-1');
    expect(ring.snapshot().revokedTokens).toEqual(['another']);
  });
});
