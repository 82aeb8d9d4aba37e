import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { place, sumTraffic } from '../contract/traffic.ts';
import { countsOf } from '../lib/histogram.ts';
import { silentLog } from '../lib/log.ts';
import { ManualClock } from '../lib/manual-clock.ts';
import { accessLine } from './access-line.ts';
import type { AccessRecord } from './access-log.ts';
import { openAccounting } from './accounting.ts';
import { HeldTrust, type TrustSnapshot } from './token-trust.ts';

const record: AccessRecord = {
  startedAtMs: Date.UTC(2026, 0, 1),
  requestId: 'r-1',
  clientAddress: '127.0.0.1',
  protocol: 'HTTP/1.1',
  method: 'GET',
  path: '/a/b',
  microvmId: 'vm-1',
  target: 8080,
  tokenId: 't-1',
  status: 200,
  refusal: undefined,
  end: 'answered',
  bytesIn: 3,
  bytesOut: 5,
  durationMs: 1.23456,
  wakeMs: 0,
  firstByteMs: 1.1,
};
const owner = { account: '000000000000', imageArn: 'arn:image' };
const nothing: TrustSnapshot = { keys: [], floor: 0, revokedTokens: [], revokedMicrovms: [] };
const claims = (jti: string, microvmId = 'vm-1') => ({ microvmId, jti, ports: 'all' as const, exp: 1, sequence: 0 });

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'waterbear-accounting-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const open = (existing: Set<string>, trust = new HeldTrust(nothing), accessLog?: string) =>
  openAccounting({
    ...{ trust, accessLog, clock: new ManualClock(), log: silentLog },
    ownerOf: (microvmId) => (existing.has(microvmId) ? owner : undefined),
  });

test('a line says everything but secrets, and leaves out what is not known', () => {
  expect(JSON.parse(accessLine({ ...record, path: '/a?token=secret', wakeMs: 2.5 }, owner))).toEqual({
    ...{ time: '2026-01-01T00:00:00.000Z', requestId: 'r-1', clientAddress: '127.0.0.1', protocol: 'HTTP/1.1' },
    ...{ method: 'GET', path: '/a', microvmId: 'vm-1', account: '000000000000', imageArn: 'arn:image', port: 8080 },
    ...{ tokenId: 't-1', status: 200, end: 'answered', bytesIn: 3, bytesOut: 5 },
    ...{ durationMs: 1.235, wakeMs: 2.5, firstByteMs: 1.1 },
  });
  const unknown = {
    microvmId: undefined,
    target: undefined,
    tokenId: undefined,
    status: undefined,
    firstByteMs: undefined,
  };
  const strange = { ...record, ...unknown, end: 'left' as const };
  const keys = Object.keys(JSON.parse(accessLine(strange, undefined)));
  for (const key of ['microvmId', 'account', 'port', 'tokenId', 'status', 'wakeMs']) expect(keys).not.toContain(key);
});

test('whatever a client sends, a line stays one line of visible ASCII and of bounded length', () => {
  const nasty = fc.string({
    unit: fc.constantFrom('\n', '\r', '"', '\\', '\u001b', '\u009b', '\u202e', '\ud800', '€', '😀', 'a', '}'),
  });
  fc.assert(
    fc.property(nasty, nasty, (path, method) => {
      const line = accessLine({ ...record, path: `/${path}`, method }, owner);
      expect(line).toMatch(/^[\x20-\x7e]*$/);
      expect(JSON.parse(line)).toMatchObject({ requestId: 'r-1', microvmId: 'vm-1' });
    }),
  );
  expect(
    accessLine({ ...record, path: `/${'é'.repeat(100_000)}`, method: 'X'.repeat(9_999) }, owner).length,
  ).toBeLessThan(15_000);
});

test('lines reach the file', async () => {
  const accessLog = join(directory, 'access.log');
  const accounting = await open(new Set(['vm-1']), undefined, accessLog);
  accounting.onAnswered(record);
  accounting.onAnswered({ ...record, microvmId: 'vm-2' });
  await accounting[Symbol.asyncDispose]();
  const lines = (await readFile(accessLog, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines.map(({ microvmId, account }) => [microvmId, account])).toEqual([
    ['vm-1', '000000000000'],
    ['vm-2', undefined],
  ]);
});

test('requests are counted in total and for MicroVMs that exist, and forgotten with them', async () => {
  const existing = new Set(['vm-1']);
  const accounting = await open(existing);
  accounting.onAnswered(record);
  accounting.onAnswered({ ...record, status: 502, refusal: 'wake_timeout', end: 'refused', wakeMs: 1500 });
  accounting.onAnswered({ ...record, status: undefined, end: 'left', microvmId: 'vm-ended' });
  accounting.onAnswered({ ...record, status: 101, end: 'switched', durationMs: 3_600_000 });
  const { total, byMicrovm, refusals, duration, held } = accounting.snapshot(4);
  expect([...total.slice(0, 6)]).toEqual([1, 1, 1, 0, 0, 1]);
  expect([total[place.bytesIn], total[place.bytesOut], total[place.webSockets]]).toEqual([12, 20, 1]);
  expect([total[place.held], total[place.heldSeconds]]).toEqual([1, 1.5]);
  expect([...byMicrovm.keys()]).toEqual(['vm-1']);
  expect([...(byMicrovm.get('vm-1')?.counts.slice(0, 6) ?? [])]).toEqual([0, 1, 1, 0, 0, 1]);
  expect([...refusals]).toEqual([['wake_timeout', 1]]);
  const sum = (counts: number[]): number => counts.reduce((a, b) => a + b, 0);
  // A WebSocket's hours are no request's.
  expect([sum(countsOf(duration)), sum(countsOf(held))]).toEqual([3, 1]);
  existing.clear();
  accounting.forget('vm-1');
  accounting.onAnswered(record);
  expect([...accounting.snapshot(0).byMicrovm.keys()]).toEqual([]);
  expect(accounting.snapshot(0).total[2]).toBe(2);
});

test('what is under way is known by MicroVM until it ends, and cut when its token is revoked', async () => {
  const trust = new HeldTrust(nothing);
  const { admitted, snapshot } = await open(new Set(), trust);
  const cut: string[] = [];
  const enter = (jti: string, microvmId?: string) => admitted.enter(claims(jti, microvmId), () => cut.push(jti));
  const [a, b, c] = [enter('a'), enter('b'), enter('c', 'vm-2')];
  b.kind = 'webSockets';
  expect(snapshot(0).byMicrovm.get('vm-1')?.open).toEqual({ requests: 1, webSockets: 1 });
  trust.replace({ ...nothing, revokedTokens: ['b'] });
  expect(cut).toEqual(['b']);
  b.end();
  b.end();
  a.end();
  expect([...snapshot(0).byMicrovm.keys()]).toEqual(['vm-2']);
  trust.replace({ ...nothing, floor: 1 });
  expect(cut).toEqual(['b', 'c']);
  c.end();
  expect(snapshot(0).byMicrovm.size).toBe(0);
});

test('what several gateways counted can be sent and added', async () => {
  const parts = [await open(new Set(['vm-1'])), await open(new Set(['vm-1', 'vm-2']))];
  for (const part of parts) part.onAnswered(record);
  parts[1]?.onAnswered({ ...record, microvmId: 'vm-2', refusal: 'port_denied', end: 'refused', status: 403 });
  parts[0]?.admitted.enter(claims('a'), () => {});
  parts[1]?.admitted.enter(claims('b'), () => {});
  const sum = sumTraffic(parts.map((part) => structuredClone(part.snapshot(2))));
  expect([...sum.total.slice(0, 6)]).toEqual([0, 0, 2, 0, 1, 0]);
  expect([...(sum.byMicrovm.get('vm-1')?.counts.slice(0, 6) ?? [])]).toEqual([0, 0, 2, 0, 0, 0]);
  expect(sum.byMicrovm.get('vm-1')?.open.requests).toBe(2);
  expect([...sum.refusals, sum.connections]).toEqual([['port_denied', 1], 4]);
});
