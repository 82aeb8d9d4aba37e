// What one guest may put on the network, and that a fast transfer is not hurt by it. Needs root; times are not measured, only counted against.
import { connect } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { within } from '../../src/lib/deadline.ts';
import { run } from '../../src/lib/process.ts';
import {
  arpPerSecond,
  framesBurst,
  framesPerSecond,
  questionsBurst,
  questionsPerSecond,
  slotLimits,
} from '../../src/net/limits.ts';
import { guestNetwork, type Slot } from '../../src/net/slot.ts';
import { createSlotPool } from '../../src/net/slot-pool.ts';
import { arpFrame, describeFrame, fragmentFrame, optionsFrame, synFrame, taggedFrame, udpFrame } from './net/frames.ts';
import { NetworkHelper } from './net/network-helper.ts';
import { publicAddress, startSmallInternet } from './net/small-internet.ts';
import { type StandInGuest, standInGuest } from './net/stand-in-guest.ts';

const port = 7777;
const instance = (process.pid + 0x400000).toString(16).padStart(6, '0').slice(-6);
const pool = (options: Partial<Parameters<typeof createSlotPool>[0]> = {}) =>
  createSlotPool({ instance, max: 4, size: 1, egress: 'internet', ...options });

/** How often a rule of the slot with this comment has dropped or refused. */
async function counted(slot: Slot, comment: string): Promise<number> {
  const { stdout } = await run('ip', ['netns', 'exec', slot.namespace, 'nft', 'list', 'ruleset']);
  const line = stdout.split('\n').find((text) => text.includes(`comment "${comment}"`));
  return Number(/packets (\d+)/.exec(line?.replace(/burst \d+ packets/, '') ?? '')?.[1]);
}

/** Sends a frame `count` times from the guest's card; resolves with the seconds that it took. */
async function flood(slot: Slot, frame: Buffer, count: number): Promise<number> {
  await using helper = await NetworkHelper.start(slot.namespace, 'flood', slot.tap, frame.toString('hex'), `${count}`);
  helper.send('go');
  const line = await helper.until((text) => text.startsWith('sent'), 60_000);
  return Number(line.split(' ')[1]);
}

describe('frames', () => {
  const stack = new AsyncDisposableStack();
  let slot: Slot;
  beforeAll(async () => {
    stack.use(await startSmallInternet(port));
    slot = await stack.use(await pool({ egressUdp: true })).acquire();
  });
  afterAll(() => stack.disposeAsync());

  test('a flood of frames is cut to the limit', async () => {
    const count = 200_000;
    // Frames that go no further even so: what is measured is how fast they come.
    const seconds = await flood(slot, udpFrame(publicAddress, port, 'flood', { mac: '02:57:42:00:00:09' }), count);
    const dropped = await counted(slot, 'frames');
    // The bucket is full at first and fills on the way; a tenth for what the clock does.
    expect(count - dropped).toBeLessThanOrEqual((framesBurst + framesPerSecond * seconds) * 1.1);
    expect(dropped).toBeGreaterThan(0);
  });

  test('a flood of ARP is cut further', async () => {
    const { guestMac, guestAddress, gatewayAddress } = guestNetwork;
    const count = 2000;
    const before = await counted(slot, 'frames');
    const seconds = await flood(slot, arpFrame('request', guestMac, guestAddress, gatewayAddress), count);
    // The bucket of frames may still be empty from the test before.
    const arrived = count - ((await counted(slot, 'frames')) - before);
    const passed = arrived - (await counted(slot, 'arp'));
    expect(passed).toBeGreaterThan(0);
    expect(passed).toBeLessThanOrEqual((arpPerSecond + arpPerSecond * seconds) * 1.1 + 1);
  });

  test('VLAN tags, fragments and IP options go no further than the tap', async () => {
    await using guest = await NetworkHelper.start(slot.namespace, 'tap', slot.tap, '0');
    await using observer = await NetworkHelper.start(undefined, 'sniff', `wb${instance}-${slot.index}`);
    const plain = udpFrame(publicAddress, port, 'through');
    const odd = [
      ...[0, 5].flatMap((id) => [taggedFrame(plain, 0x8100, id), taggedFrame(plain, 0x88a8, id)]),
      fragmentFrame(plain, 0x2000),
      fragmentFrame(plain, 0x0010),
      optionsFrame(publicAddress),
    ];
    for (const frame of odd) guest.send(frame.toString('hex'));
    guest.send(plain.toString('hex'));
    await observer.until((line) => line.includes(Buffer.from('through').toString('hex')));
    await guest.until((line) => line.includes(Buffer.from('through').toString('hex')));
    expect(observer.lines.map(describeFrame).filter((text) => text.includes(`> ${publicAddress}`))).toHaveLength(1);
    expect(await counted(slot, 'other protocols')).toBe(4);
    expect(await counted(slot, 'fragments')).toBe(2);
    expect(await counted(slot, 'options')).toBe(1);
  });
});

test('a packet of a connection that nobody knows is answered with a reset and goes nowhere', async () => {
  await using small = await startSmallInternet(port);
  await using slots = await pool();
  const slot = await slots.acquire();
  await using guest = await NetworkHelper.start(slot.namespace, 'tap', slot.tap, '0');
  await using observer = await NetworkHelper.start(undefined, 'sniff', `wb${instance}-${slot.index}`);
  const acknowledgement = 0x10;
  guest.send(synFrame(publicAddress, port, {}, acknowledgement).toString('hex'));
  const reset = await guest.until((line) => describeFrame(line) === `tcp ${publicAddress}:${port} > 10.111.0.2:41000`);
  expect(Number.parseInt(reset.slice(94, 96), 16) & 4).toBe(4);
  guest.send(synFrame(publicAddress, port).toString('hex'));
  await observer.until((line) => describeFrame(line).startsWith('syn '));
  expect(observer.lines.filter((line) => describeFrame(line).startsWith('tcp '))).toEqual([]);
  expect(small.servers.lines.filter((line) => line.startsWith('udp'))).toEqual([]);
});

describe('connections and questions', () => {
  const stack = new AsyncDisposableStack();
  let slot: Slot;
  let guest: StandInGuest;
  // So many slots that each has the smallest share.
  const limits = slotLimits(0, 1);
  beforeAll(async () => {
    stack.use(await startSmallInternet(port));
    slot = await stack.use(await pool({ max: 4096 })).acquire();
    guest = stack.use(await standInGuest(slot));
  });
  afterAll(() => stack.disposeAsync());

  test('a flood of questions is cut before it comes to the resolver', async () => {
    const asked = questionsBurst + 400;
    const answered = await guest.probe<number>('ask', asked);
    const dropped = await counted(slot, 'questions');
    expect(answered).toBeGreaterThan(questionsPerSecond / 2);
    expect(dropped).toBeGreaterThan(0);
    expect(answered).toBeLessThanOrEqual(asked - dropped);
  });

  test('connections that begin too fast wait', async () => {
    const held = await guest.probe<number>('open', publicAddress, port, limits.newConnectionsBurst);
    expect(held).toBe(limits.newConnectionsBurst);
    expect(await guest.probe<number>('open', publicAddress, port, 300)).toBeLessThan(300);
    expect(await counted(slot, 'new connections')).toBeGreaterThan(0);
  });

  test('no more connections are open than the share of the slot', async () => {
    await using quick = await pool({
      max: 4096,
      instance: (Number.parseInt(instance, 16) ^ 0xfff).toString(16).padStart(6, '0'),
    });
    const own = await quick.acquire();
    await using other = await standInGuest(own);
    // Only this limit is looked at here: the one on beginnings would hide it.
    const rules = (
      await run('ip', ['netns', 'exec', own.namespace, 'nft', '-a', 'list', 'chain', 'inet', 'wb', 'open'])
    ).stdout;
    const handle = /comment "new connections" # handle (\d+)/.exec(rules)?.[1] ?? '';
    await run('ip', ['netns', 'exec', own.namespace, 'nft', 'delete', 'rule', 'inet', 'wb', 'open', 'handle', handle]);
    expect(await other.probe<number>('open', publicAddress, port, limits.openConnections + 60)).toBe(
      limits.openConnections,
    );
    expect(await counted(own, 'open connections')).toBeGreaterThan(0);
  });

  test('the host forgets what ended within seconds, and remembers no question', async () => {
    const table = await run('cat', ['/proc/net/nf_conntrack']).catch(() => undefined);
    const rules = (await run('nft', ['list', 'table', 'inet', `wb_${instance}`])).stdout;
    expect(rules).toMatch(/time_wait : 5/);
    if (!table) return;
    const own = table.stdout.split('\n').filter((line) => line.includes(`src=${slot.relay.host} `));
    expect(own.filter((line) => line.includes('udp'))).toEqual([]);
    expect(own.length).toBeGreaterThan(0);
    for (const line of own) expect(Number(/tcp\s+6 (\d+)/.exec(line)?.[1])).toBeLessThanOrEqual(350);
  });
});

test('100 MB through the relay: not one frame of the answers is dropped', async () => {
  await using slots = await pool({ egress: 'none' });
  const slot = await slots.acquire();
  await using guest = await standInGuest(slot);
  const { done } = await guest.receive(guestNetwork.relayPort);
  const socket = connect(slot.relay);
  const chunk = Buffer.alloc(1 << 20);
  const total = 100;
  for (let sent = 0; sent < total; sent++) {
    const flowing = new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.write(chunk, () => resolve());
    });
    await within(60_000, 'The transfer', flowing);
    socket.removeAllListeners('error');
  }
  socket.end();
  const { bytes } = await done;
  expect(bytes).toBe(total << 20);
  expect(await counted(slot, 'frames')).toBe(0);
});
