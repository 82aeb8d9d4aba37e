// Slots on the real kernel. Needs root. A helper plays the guest on the tap; a namespace plays the internet.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { within } from '../../src/lib/deadline.ts';
import { run } from '../../src/lib/process.ts';
import { slotLink } from '../../src/net/addresses.ts';
import { guestNetwork, type Slot, type SlotPool } from '../../src/net/slot.ts';
import { createSlotPool } from '../../src/net/slot-pool.ts';
import { sweepSlots } from '../../src/net/sweep-slots.ts';
import { arpFrame, describeFrame, ipv6Frame, pingFrame, synFrame, udpFrame } from './net/frames.ts';
import { NetworkHelper } from './net/network-helper.ts';
import { hostAddress, lanAddress, metadataAddress, publicAddress, startSmallInternet } from './net/small-internet.ts';

const port = 7777;
const ownerUid = 64_321;
const instance = process.pid.toString(16).padStart(6, '0').slice(-6);
const forwarding = (): string => readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8').trim();

const guestOn = (slot: Slot) => NetworkHelper.start(slot.namespace, 'tap', slot.tap, `${ownerUid}`);
const pool = (options: Partial<Parameters<typeof createSlotPool>[0]> = {}) =>
  createSlotPool({ instance, max: 4, size: 1, tapOwner: () => ownerUid, ...options });

/** What of an instance is on this host. */
async function traces(of: string): Promise<string[]> {
  const names = [...readdirSync('/run/netns'), ...readdirSync('/sys/class/net')];
  const routes = await run('ip', ['-4', 'route', 'show', 'type', 'unreachable']);
  const tables = await run('nft', ['list', 'tables']);
  const metric = `metric ${0x1000000 + Number.parseInt(of, 16)}`;
  const lines = `${routes.stdout}\n${tables.stdout}`.split('\n');
  return [
    ...names.filter((name) => name.startsWith(`wb-${of}-`) || name.startsWith(`wb${of}-`)),
    ...lines.filter((line) => line.includes(metric) || line.includes(`wb_${of}`)),
  ];
}

/** Servers on every address of the host; tells what came. */
async function hostServers() {
  const came: string[] = [];
  const datagrams = createSocket('udp4', (data, peer) => came.push(`${peer.address} ${data}`));
  datagrams.bind(port);
  await once(datagrams, 'listening');
  const server = createServer((socket) => socket.destroy()).listen(port, '0.0.0.0');
  await once(server, 'listening');
  const close = () => {
    datagrams.close();
    server.close();
  };
  return { came, close };
}

function hostAddresses(slot: Slot): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const own = all.filter(({ family }) => family === 'IPv4').map(({ address }) => address);
  return [...new Set([...own, '127.0.0.1', hostAddress, slot.relay.host, guestNetwork.gatewayAddress])];
}

async function answerOf(address: string, onPort: number): Promise<string> {
  const socket = connect({ host: address, port: onPort });
  try {
    await within(500, 'The answer', once(socket, 'connect'));
    return 'connected';
  } catch {
    return 'none';
  } finally {
    socket.destroy();
  }
}

describe('egress internet with UDP', () => {
  const before = forwarding();
  const stack = new AsyncDisposableStack();
  let first: Slot;
  let second: Slot;
  let guest: NetworkHelper;
  let neighbour: NetworkHelper;
  let internet: NetworkHelper;
  let host: Awaited<ReturnType<typeof hostServers>>;

  /** Sends a datagram outside and waits for its echo: all that was sent earlier has been decided on by then. */
  async function settled(mark: string): Promise<void> {
    guest.send(udpFrame(publicAddress, port, mark).toString('hex'));
    await guest.until((line) => line.endsWith(Buffer.from(mark).toString('hex')));
  }

  beforeAll(async () => {
    const small = stack.use(await startSmallInternet(port));
    internet = small.servers;
    const slots: SlotPool = stack.use(await pool({ egress: 'internet', egressUdp: true }));
    [first, second] = await Promise.all([slots.acquire(), slots.acquire()]);
    guest = stack.use(await guestOn(first));
    neighbour = stack.use(await guestOn(second));
    host = await hostServers();
    stack.defer(host.close);
  });
  afterAll(async () => {
    await stack.disposeAsync();
    expect(await traces(instance)).toEqual([]);
    expect(forwarding()).toBe(before);
  });

  test('the host reaches the relay, and the guest sees the gateway', async () => {
    const socket = connect(first.relay).on('error', () => {});
    const seen = await guest.until((line) => describeFrame(line).startsWith('syn '));
    socket.destroy();
    expect(describeFrame(seen)).toMatch(/^syn 10\.111\.0\.1:\d+ > 10\.111\.0\.2:61999$/);
    expect(seen.slice(0, 24)).toBe(`${guestNetwork.guestMac}${guestNetwork.gatewayMac}`.replaceAll(':', ''));
  });

  test('other ports of the slot do not answer, nor does a user who is not the server reach the relay', async () => {
    guest.lines.length = 0;
    expect(await answerOf(first.relay.host, 22)).toBe('none');
    const dial = `import socket;socket.create_connection(("${first.relay.host}",61999),0.5)`;
    const asUser = run('setpriv', ['--reuid', '65534', '--clear-groups', '/usr/bin/python3', '-c', dial]);
    await expect(asUser).rejects.toThrow(/timed out|not permitted/i);
    await settled('ports');
    expect(guest.lines.map(describeFrame).filter((frame) => frame.startsWith('syn '))).toEqual([]);
  });

  test('the guest reaches a public address, over UDP and TCP, under an address of the host', async () => {
    await settled('hello');
    await internet.until((line) => line === `udp ${hostAddress} hello`);
    guest.send(synFrame(publicAddress, port).toString('hex'));
    await guest.until((line) => describeFrame(line) === `syn-ack ${publicAddress}:${port} > 10.111.0.2:41000`);
  });

  const forbidden = (): string[] => [...hostAddresses(first), second.relay.host, metadataAddress, lanAddress];

  async function expectNothingReached(mark: string): Promise<void> {
    guest.lines.length = 0;
    neighbour.lines.length = 0;
    for (const address of forbidden()) {
      for (const to of [port, guestNetwork.relayPort]) {
        guest.send(udpFrame(address, to, 'forbidden').toString('hex'));
        guest.send(synFrame(address, to).toString('hex'));
      }
      guest.send(pingFrame(address).toString('hex'));
    }
    await settled(mark);
    expect(host.came).toEqual([]);
    expect(internet.lines.filter((line) => line.includes('forbidden'))).toEqual([]);
    expect(neighbour.lines).toEqual([]);
    expect(guest.lines.map(describeFrame).filter((frame) => frame.startsWith('syn-ack'))).toEqual([]);
  }

  test('the guest reaches no address of the host, no slot, no private network', async () => {
    const observer = stack.use(await NetworkHelper.start(undefined, 'sniff', `wb${instance}-${first.index}`));
    expect(await answerOf('127.0.0.1', port)).toBe('connected');
    await expectNothingReached('inside');
    expect(guest.lines.map(describeFrame).filter((frame) => /^(pong|tcp)/.test(frame))).toEqual([]);
    // The slot itself refuses: not even the host's end of the link sees what goes to private addresses.
    await observer.until((line) => line.includes(Buffer.from('inside').toString('hex')));
    // What the host refuses (its own public addresses) it answers on this link.
    const left = observer.lines.map(describeFrame).filter((frame) => !frame.endsWith(`> ${first.relay.host}`));
    expect(
      left.filter((frame) => /> (10|127|169\.254|192\.168)\./.test(frame) && !frame.includes(publicAddress)),
    ).toEqual([]);
  });

  test('a false address or MAC, foreign ARP and IPv6 go no further than the tap', async () => {
    const observer = stack.use(await NetworkHelper.start(undefined, 'sniff', `wb${instance}-${first.index}`));
    const spoofed = [
      udpFrame(publicAddress, port, 'spoofed', { address: '10.111.0.1' }),
      udpFrame(publicAddress, port, 'spoofed', { address: first.relay.host }),
      udpFrame(publicAddress, port, 'spoofed', { address: '8.8.8.8' }),
      udpFrame(publicAddress, port, 'spoofed', { mac: '02:57:42:00:00:09' }),
      ipv6Frame(),
      arpFrame('reply', '02:57:42:00:00:02', '10.111.0.1', '10.111.0.1'),
      arpFrame('request', '02:57:42:00:00:09', '10.111.0.2', '10.111.0.1'),
      arpFrame('request', '02:57:42:00:00:02', '10.111.0.2', first.relay.host),
    ];
    guest.lines.length = 0;
    for (const frame of spoofed) guest.send(frame.toString('hex'));
    await settled('after-spoofing');
    const marks = observer.lines.filter((line) => line.includes(Buffer.from('spoofed').toString('hex')));
    expect(marks).toEqual([]);
    expect(observer.lines.filter((line) => line.slice(24, 28) === '86dd')).toEqual([]);
    expect(guest.lines).toHaveLength(1);
    // The observer does see what is let through.
    await observer.until((line) => line.includes(Buffer.from('after-spoofing').toString('hex')));
    guest.send(arpFrame('request', guestNetwork.guestMac, '10.111.0.2', '10.111.0.1').toString('hex'));
    await guest.until((line) => line.slice(24, 28) === '0806');
  });

  test('the rules of the host hold alone, when those of the slot are gone', async () => {
    await run('ip', ['netns', 'exec', first.namespace, 'nft', '-f', '-'], {
      input: `flush ruleset\ntable ip t { chain c { type nat hook postrouting priority 100; oifname "up0" masquerade; }; }\n`,
    });
    // Own addresses of the namespace lead nowhere else; all others are the host's to refuse.
    await expectNothingReached('host-only');
    const inside = stack.use(await NetworkHelper.start(first.namespace, 'udp'));
    for (const address of forbidden()) inside.send(`${address} ${port} forbidden`);
    await settled('local-process');
    expect(host.came).toEqual([]);
    expect(internet.lines.filter((line) => line.includes('forbidden'))).toEqual([]);
  });
});

test('without egress the guest reaches nothing, and is told so', async () => {
  await using small = await startSmallInternet(port);
  const before = forwarding();
  await using slots = await pool();
  const slot = await slots.acquire();
  await using guest = await guestOn(slot);
  guest.send(udpFrame(publicAddress, port, 'out').toString('hex'));
  await guest.until((line) => describeFrame(line) === 'icmp 10.111.0.1 > 10.111.0.2');
  expect(small.servers.lines).toEqual(['ready']);
  expect(forwarding()).toBe(before);
  // The host refuses it too, even when it forwards for others and the slot's own rules are gone.
  await run('ip', ['netns', 'exec', slot.namespace, 'nft', 'flush', 'ruleset']);
  const { hostAddress: via } = slotLink(`${slot.relay.host.split('.').slice(0, 2).join('.')}.0.0/16`, slot.index);
  await run('ip', ['-n', slot.namespace, 'route', 'add', 'default', 'via', via]);
  await using inside = await NetworkHelper.start(slot.namespace, 'udp');
  writeFileSync('/proc/sys/net/ipv4/ip_forward', '1');
  try {
    inside.send(`${publicAddress} ${port} out`);
    await inside.until((line) => line === 'sent');
    await expect(small.servers.until((line) => line.startsWith('udp'), 300)).rejects.toThrow();
  } finally {
    writeFileSync('/proc/sys/net/ipv4/ip_forward', before);
  }
});

test('a slot is not given out twice, and a released one leaves nothing', async () => {
  await using slots = await pool({ max: 2, size: 1, acquireTimeoutMs: 300 });
  const [a, b] = [await slots.acquire(), await slots.acquire()];
  expect(a.namespace).not.toBe(b.namespace);
  await expect(slots.acquire()).rejects.toMatchObject({ code: 'capacity_exhausted' });
  await expect(slots.acquire(AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' });
  const next = slots.acquire();
  await Promise.all([a.release(), a.release()]);
  const c = await next;
  expect(c.index).toBeGreaterThan(b.index);
  expect(readdirSync('/run/netns')).not.toContain(a.namespace);
  expect(readdirSync('/sys/class/net')).not.toContain(`wb${instance}-${a.index}`);
});

test('a user other than the owner cannot open the tap', async () => {
  await using slots = await pool();
  const slot = await slots.acquire();
  const wrong = NetworkHelper.start(slot.namespace, 'tap', slot.tap, `${ownerUid + 1}`);
  await expect(wrong).rejects.toThrow('The helper ended');
});

test('two servers take different ranges, and the last to go turns forwarding off', async () => {
  const other = (Number.parseInt(instance, 16) ^ 0xfff).toString(16).padStart(6, '0');
  const before = forwarding();
  const one = await pool({ egress: 'internet' });
  await using two = await pool({ instance: other, egress: 'internet' });
  const [a, b] = [await one.acquire(), await two.acquire()];
  const network = (slot: Slot) => slot.relay.host.split('.').slice(0, 2).join('.');
  expect(network(a)).not.toBe(network(b));
  await one[Symbol.asyncDispose]();
  expect(await traces(instance)).toEqual([]);
  expect(forwarding()).toBe('1');
  await two[Symbol.asyncDispose]();
  expect(await traces(other)).toEqual([]);
  expect(forwarding()).toBe(before);
});

test('what is left of an instance can be removed by name, forwarding included', async () => {
  const before = forwarding();
  const crashed = await pool({ egress: 'internet' });
  await crashed.acquire();
  expect((await traces(instance)).length).toBeGreaterThanOrEqual(4);
  expect(await sweepSlots(instance)).toBeGreaterThanOrEqual(1);
  expect(await traces(instance)).toEqual([]);
  expect(forwarding()).toBe(before);
  await crashed[Symbol.asyncDispose]();
});
