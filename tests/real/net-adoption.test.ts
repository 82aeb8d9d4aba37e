// Slots that outlive a server, on the real kernel. Needs root. A helper plays the guest on the tap; a namespace plays the internet.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { pause } from '../../src/lib/deadline.ts';
import { run } from '../../src/lib/process.ts';
import { query } from '../../src/net/resolver/test-query.ts';
import { guestNetwork, type Slot } from '../../src/net/slot.ts';
import { createSlotPool } from '../../src/net/slot-pool.ts';
import { slotsOnHost, sweepSlots } from '../../src/net/sweep-slots.ts';
import { describeFrame, synFrame, udpFrame } from './net/frames.ts';
import { NetworkHelper } from './net/network-helper.ts';
import { hostAddress, metadataAddress, publicAddress, startSmallInternet } from './net/small-internet.ts';

const port = 7777;
const ownerUid = 64_321;
const instance = (process.pid ^ 0x5a5a5a).toString(16).padStart(6, '0').slice(-6);
const forwarding = (): string => readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim();
const before = forwarding();

const pool = (options: Partial<Parameters<typeof createSlotPool>[0]> = {}) =>
  createSlotPool({
    ...{ instance, max: 6, size: 1, tapOwner: () => ownerUid, egress: 'internet', egressUdp: true },
    ...options,
  });
const guestOn = (slot: Slot) => NetworkHelper.start(slot.namespace, 'tap', slot.tap, `${ownerUid}`);
const table = async (): Promise<string> => (await run('nft', ['list', 'table', 'inet', `wb_${instance}`])).stdout;

afterEach(async () => {
  await sweepSlots(instance);
  expect(readdirSync('/run/netns').filter((name) => name.startsWith(`wb-${instance}`))).toEqual([]);
});

async function poll<T>(look: () => T | undefined): Promise<T> {
  const end = Date.now() + 10_000;
  for (;;) {
    const found = look();
    if (found !== undefined) return found;
    if (Date.now() > end) throw new Error('It did not come.');
    await pause(20);
  }
}

/** Sends a datagram outside and waits for its echo. */
async function echoed(guest: NetworkHelper, mark: string): Promise<void> {
  guest.send(udpFrame(publicAddress, port, mark).toString('hex'));
  await guest.until((line) => line.endsWith(Buffer.from(mark).toString('hex')));
}

async function expectRelay(slot: Slot, guest: NetworkHelper): Promise<void> {
  guest.lines.length = 0;
  const socket = connect(slot.relay).on('error', () => {});
  await guest.until((line) => /^syn 10\.111\.0\.1:\d+ > 10\.111\.0\.2:61999$/.test(describeFrame(line)));
  socket.destroy();
}

test('a slot that was left in use is confined without a server, and adopted by the next with its rules', async () => {
  await using small = await startSmallInternet(port);
  const first = await pool();
  const slot = await first.acquire();
  await using guest = await guestOn(slot);
  await echoed(guest, 'with a server');
  await first.leave();
  expect(slotsOnHost(instance)).toEqual([slot.index]);
  await slot.release();
  await first[Symbol.asyncDispose]();
  expect(slotsOnHost(instance)).toEqual([slot.index]);

  await echoed(guest, 'without a server');
  expect(await table()).toContain('chain from_slots');
  guest.send(udpFrame(hostAddress, port, 'forbidden').toString('hex'));
  guest.send(synFrame(metadataAddress, port).toString('hex'));
  await echoed(guest, 'what may pass');
  expect(small.servers.lines.filter((line) => line.includes('forbidden'))).toEqual([]);
  expect(guest.lines.map(describeFrame).filter((frame) => frame.startsWith('syn-ack'))).toEqual([]);

  // The next server has other settings: they hold for those who run already.
  await using second = await pool({ egress: 'none' });
  expect(forwarding()).toBe(before);
  const adopted = await second.adopt(slot.index);
  expect(adopted).toMatchObject({ index: slot.index, namespace: slot.namespace, relay: slot.relay, uid: ownerUid });
  await expectRelay(adopted, guest);
  small.servers.lines.length = 0;
  guest.send(udpFrame(publicAddress, port, 'egress is off').toString('hex'));
  await guest.until((line) => describeFrame(line) === 'icmp 10.111.0.1 > 10.111.0.2');
  expect(small.servers.lines).toEqual([]);
  await expect(second.adopt(slot.index)).rejects.toMatchObject({ code: 'not_found' });
  expect(await second.sweep()).toBe(0);
  expect(await adopted.sentBytes()).toBeGreaterThan(0);
  await adopted.release();
  expect(slotsOnHost(instance)).not.toContain(slot.index);
});

describe('names', () => {
  const gateway = guestNetwork.gatewayAddress;
  const question = (from = 40_000): string =>
    udpFrame(gateway, 53, query('x.localhost', 1), { port: from }).toString('hex');
  const answer = (to = 40_000): string => `udp ${gateway}:53 > ${guestNetwork.guestAddress}:${to}`;
  const heard = async (guest: NetworkHelper, words: string, frame: string): Promise<void> => {
    guest.lines.length = 0;
    guest.send(frame);
    await guest.until((line) => describeFrame(line) === words);
  };

  test('are there again as soon as the next server is, for who asked in vain meanwhile, too', async () => {
    const first = await pool();
    const slot = await first.acquire();
    await using guest = await guestOn(slot);
    await heard(guest, answer(), question());
    await first.leave();
    await heard(guest, `icmp ${gateway} > ${guestNetwork.guestAddress}`, question());
    const next = await pool();
    await heard(guest, answer(), question());
    const syn = synFrame(gateway, 53).toString('hex');
    await heard(guest, `syn-ack ${gateway}:53 > ${guestNetwork.guestAddress}:41000`, syn);
    await next.adopt(slot.index);
    await heard(guest, answer(), question());
    await next.leave();
  });

  test('come from other ports when somebody took the usual ones, who hears nothing', async () => {
    const first = await pool();
    const slot = await first.acquire();
    await using guest = await guestOn(slot);
    await heard(guest, answer(), question());
    await first.leave();
    const [, address = '', taken = ''] = (await table()).match(/ip daddr (\S+) udp dport (\d+)/) ?? [];
    await using stack = new AsyncDisposableStack();
    const came: string[] = [];
    const datagrams = createSocket('udp4', (data) => void came.push(`${data}`)).bind(Number(taken), address);
    const server = createServer((socket) => void came.push(`${socket.remoteAddress}`)).listen(Number(taken), address);
    stack.defer(() => void datagrams.close());
    stack.defer(() => void server.close());
    await Promise.all([once(datagrams, 'listening'), once(server, 'listening')]);
    const next = await pool();
    guest.send(question());
    await next.adopt(slot.index);
    await heard(guest, answer(40_001), question(40_001));
    const syn = synFrame(gateway, 53).toString('hex');
    await heard(guest, `syn-ack ${gateway}:53 > ${guestNetwork.guestAddress}:41000`, syn);
    expect(came).toEqual([]);
    await next.leave();
  });
});

test('the next server sweeps what nobody adopts, and gives no index out twice', async () => {
  await using small = await startSmallInternet(port);
  const crashed = await pool({ size: 2, max: 3 });
  const [kept, lost, damaged] = [await crashed.acquire(), await crashed.acquire(), await crashed.acquire()];
  await using guest = await guestOn(kept);
  await run('ip', ['-n', damaged.namespace, 'link', 'del', damaged.tap]);
  const old = slotsOnHost(instance);
  expect(old).toEqual(expect.arrayContaining([kept.index, lost.index, damaged.index]));

  const next = await pool();
  const adopted = await next.adopt(kept.index);
  expect(adopted.relay).toEqual(kept.relay);
  await expect(next.adopt(damaged.index)).rejects.toMatchObject({ code: 'not_found' });
  const fresh = await next.acquire();
  expect(old).not.toContain(fresh.index);
  expect(await next.sweep()).toBe(old.length - 1);
  const left = slotsOnHost(instance);
  expect(left).toEqual(expect.arrayContaining([kept.index, fresh.index]));
  expect(left).not.toContain(lost.index);
  expect(left).not.toContain(damaged.index);
  await expect(next.adopt(lost.index)).rejects.toMatchObject({ code: 'not_found' });
  await echoed(guest, 'still there');
  await small.servers.until((line) => line.endsWith('still there'));
  await expectRelay(adopted, guest);
  await next[Symbol.asyncDispose]();
  expect(slotsOnHost(instance)).toEqual([]);
  await crashed[Symbol.asyncDispose]();
});

test('the pool tells which slots are in use, and discards no other than those that are not', async () => {
  await using crashed = await pool({ size: 0 });
  const old = await crashed.acquire();
  await using slots = await pool();
  const used = await slots.acquire();
  const ready = await poll(() => [...slots.list()].find(([, { use }]) => use === 'ready')?.[0]);
  // Its fate is not decided yet.
  expect(slots.list().get(old.index)?.use).toBe('used');
  const planted = 99;
  await run('ip', ['netns', 'add', `wb-${instance}-${planted}`]);
  expect(slots.list().get(planted)?.use).toBe('left');
  for (const index of [old.index, used.index, ready, 12_345]) expect(await slots.discard(index)).toBe(false);
  expect(await slots.discard(planted)).toBe(true);
  expect(slotsOnHost(instance).sort()).toEqual([old.index, used.index, ready].sort());
  await slots.sweep();
  expect([...slots.list().keys()].sort()).toEqual([used.index, ready].sort());
});

test('there is no moment without rules while a server takes over', async () => {
  await using small = await startSmallInternet(port);
  const crashed = await pool();
  const [bare, guarded] = [await crashed.acquire(), await crashed.acquire()];
  await using guest = await guestOn(guarded);
  await using observer = await NetworkHelper.start(undefined, 'sniff', `wb${instance}-${guarded.index}`);
  // One slot without its own rules: what the host's table lets through arrives.
  await run('ip', ['netns', 'exec', bare.namespace, 'nft', '-f', '-'], {
    input: `flush ruleset\ntable ip t { chain c { type nat hook postrouting priority 100; oifname "up0" masquerade; }; }\n`,
  });
  await using inside = await NetworkHelper.start(bare.namespace, 'udp');
  const came: string[] = [];
  const host = createSocket('udp4', (data) => void came.push(`${data}`)).bind(port);
  await once(host, 'listening');

  let sent = 0;
  const frame = udpFrame(metadataAddress, port, 'forbidden').toString('hex');
  let isOver = false;
  const flood = (async () => {
    for (; !isOver; sent += 1) {
      inside.send(`${hostAddress} ${port} forbidden`);
      guest.send(frame);
      if (sent % 4 === 3) await pause(1);
    }
  })();
  const next = await pool();
  await next.adopt(guarded.index);
  await next.adopt(bare.index);
  isOver = true;
  await flood;
  await echoed(guest, 'the end');
  await observer.until((line) => line.includes(Buffer.from('the end').toString('hex')));
  host.close();
  expect(sent).toBeGreaterThan(50);
  expect(came).toEqual([]);
  const escaped = observer.lines.filter((line) => describeFrame(line).includes(metadataAddress));
  expect(escaped).toEqual([]);
  expect(small.servers.lines.filter((line) => line.includes('forbidden'))).toEqual([]);
  await next[Symbol.asyncDispose]();
  await crashed[Symbol.asyncDispose]();
});
