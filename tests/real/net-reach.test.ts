// What a guest reaches by default and by setting. Needs root. A namespace with a network stack of its own plays the guest on a slot's tap.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';
import { guestNetwork, type Slot } from '../../src/net/slot.ts';
import { createSlotPool } from '../../src/net/slot-pool.ts';
import { NetworkHelper } from './net/network-helper.ts';
import { hostAddress, lanAddress, metadataAddress, publicAddress, startSmallInternet } from './net/small-internet.ts';
import { probe, type StandInGuest, standInGuest } from './net/stand-in-guest.ts';

const port = 7777;
const instance = (process.pid + 0x200000).toString(16).padStart(6, '0').slice(-6);
/** On the host's own loopback, where no guest gets by itself. */
const hostNames = '127.66.0.53';
const gateway = guestNetwork.gatewayAddress;

interface Names {
  code: number;
  cut: boolean;
  found: unknown[];
  seconds: number;
}

const pool = (options: Partial<Parameters<typeof createSlotPool>[0]> = {}) =>
  createSlotPool({ instance, max: 4, size: 1, egress: 'internet', ...options });

describe('by default', () => {
  const stack = new AsyncDisposableStack();
  let slot: Slot;
  let guest: StandInGuest;
  let internet: NetworkHelper;
  let names: NetworkHelper;
  let resolvConf: string;

  const ask = (name: string, type = 'A', over = 'udp') => guest.probe<Names>('dns', name, type, over);

  beforeAll(async () => {
    internet = stack.use(await startSmallInternet(port)).servers;
    names = stack.use(await NetworkHelper.start(undefined, 'names', hostNames));
    const directory = await mkdtemp(join(tmpdir(), 'net-reach-'));
    stack.defer(() => rm(directory, { recursive: true }));
    resolvConf = join(directory, 'resolv.conf');
    await writeFile(resolvConf, `nameserver ${hostNames}\n`);
    const slots = stack.use(await pool({ resolvConf }));
    slot = await slots.acquire();
    guest = stack.use(await standInGuest(slot));
  });
  afterAll(() => stack.disposeAsync());

  test('TCP reaches a public address, UDP and ping are refused at once', async () => {
    expect(await guest.probe('tcp', publicAddress, port)).toBe('connected');
    expect(await guest.probe('udp', publicAddress, port, 'hello')).toBe('EHOSTUNREACH');
    const ping = run('ip', ['netns', 'exec', guest.namespace, 'ping', '-c1', '-W2', publicAddress]);
    await expect(ping).rejects.toThrow();
    await internet.until((line) => line === `tcp ${hostAddress}`);
    expect(internet.lines.filter((line) => line.startsWith('udp'))).toEqual([]);
  });

  test('private networks and the metadata address are refused at once, over TCP and UDP', async () => {
    for (const address of [lanAddress, metadataAddress, '100.64.0.1', '198.18.0.1', '172.16.0.1']) {
      expect(await guest.probe('tcp', address, port)).toBe('EHOSTUNREACH');
      expect(await guest.probe('udp', address, port, 'x')).toBe('EHOSTUNREACH');
    }
    expect(await guest.probe('tcp', gateway, port)).toBe('EHOSTUNREACH');
    // A public address that is the host's own: the host refuses.
    expect(await guest.probe('tcp', hostAddress, port)).toBe('EHOSTUNREACH');
  });

  test("names, over UDP and TCP, through a name server on the host's loopback", async () => {
    for (const over of ['udp', 'tcp']) {
      expect(await ask('www.example.com', 'A', over)).toMatchObject({ code: 0, cut: false, found: ['198.51.100.9'] });
    }
    await names.until((line) => line === 'www.example.com udp');
    // The other way round: nobody but slots comes to the resolver.
    const [, address = '', tcpPort = ''] = (await slotRulesOf(slot)).match(/tcp dport 53 dnat ip to (\S+):(\d+)/) ?? [];
    expect(await guest.probe('tcp', address, Number(tcpPort))).toBe('connected');
    expect(await fromHost(address, tcpPort)).toBe('timeout');
  });

  test('a long answer is cut over UDP and whole over TCP', async () => {
    expect(await ask('big.example.com')).toMatchObject({ code: 0, cut: true, found: [] });
    const whole = await ask('big.example.com', 'A', 'tcp');
    expect(whole).toMatchObject({ code: 0, cut: false });
    expect(whole.found).toHaveLength(500);
  });

  test('localhost is the guest; names of the host and of private networks are asked nowhere', async () => {
    expect(await ask('db.localhost')).toMatchObject({ code: 0, found: ['127.0.0.1'] });
    expect(await ask('localhost', 'AAAA')).toMatchObject({ code: 0, found: ['::1'] });
    expect(await ask('localhost', 'TXT')).toMatchObject({ code: 0, found: [] });
    for (const name of ['printer.local', 'x.onion', 'x.invalid', 'hostname']) expect((await ask(name)).code).toBe(3);
    expect((await ask('1.0.168.192.in-addr.arpa', 'PTR')).code).toBe(3);
    expect(names.lines.filter((line) => /local|onion|invalid|hostname|arpa/.test(line))).toEqual([]);
  });

  test('an answer with a false id does not count, and a silent server ends in a failure before programs give up', async () => {
    for (const name of ['wrong.example.com', 'slow.example.com']) {
      const { code, seconds } = await ask(name);
      expect(code).toBe(2);
      expect(seconds).toBeLessThan(5);
    }
    expect((await ask('fail.example.com')).code).toBe(2);
  });

  test('a changed list of name servers counts, and one that is down is passed over', async () => {
    const other = stack.use(await NetworkHelper.start(undefined, 'names', '127.66.0.54'));
    await writeFile(resolvConf, 'nameserver 127.66.0.99\nnameserver 127.66.0.54\n');
    await expect
      .poll(
        async () => {
          await ask('changed.example.com');
          return other.lines;
        },
        { timeout: 20_000, interval: 300 },
      )
      .toContain('changed.example.com udp');
    expect(await ask('www.example.com')).toMatchObject({ code: 0, found: ['198.51.100.9'] });
    await writeFile(resolvConf, `nameserver ${hostNames}\n`);
  });

  test('bytes that are no question get an error or nothing, and the resolver goes on', async () => {
    const question = '004d0100000100000000000003777777076578616d706c6503636f6d0000010001';
    const code = async (hex: string, over = 'udp') => (await guest.probe('raw', hex, over)).slice(4, 8);
    expect(await code(question)).toMatch(/^8180$/);
    expect(await code(question.replace(/0001$/, '0003'))).toBe('8185');
    expect(await code(question.replace(/00010001$/, '00fc0001'))).toBe('8185');
    expect(await code(question.replace('01000001', '29000001'))).toBe('a984');
    expect(await code(question.replace('01000001', '01000002'))).toBe('8181');
    expect(await code(`${question.slice(0, 24)}c00c00010001`)).toBe('8181');
    for (const over of ['udp', 'tcp'])
      expect(await guest.probe('raw', question.replace('0100', '8180'), over)).toBe('none');
    expect(await guest.probe('raw', `${question}${'00'.repeat(1000)}`, 'tcp')).toBe('none');
    expect((await ask('www.example.com')).code).toBe(0);
  }, 60_000);

  test('an image build in the place of a guest has the same reach', async () => {
    // The cage of a build does this.
    await run('ip', ['-n', slot.namespace, 'link', 'set', 'lo', 'up']);
    const from = (...args: (string | number)[]) => probe(slot.namespace, ...args);
    expect(await from('tcp', publicAddress, port)).toBe('connected');
    expect(await from('dns', 'www.example.com', 'A', 'udp')).toMatchObject({ code: 0, found: ['198.51.100.9'] });
    expect(await from('dns', 'www.example.com', 'A', 'tcp')).toMatchObject({ code: 0 });
    for (const address of [publicAddress, lanAddress]) {
      expect(await from('udp', address, port, 'x')).toMatch(/EHOSTUNREACH|EPERM/);
    }
    expect(await from('tcp', lanAddress, port)).toBe('EHOSTUNREACH');
    expect(await from('tcp', hostAddress, port)).toMatch(/EHOSTUNREACH|timeout/);
  });
});

test('the rules of the host hold alone: TCP and questions only, and nothing inside', async () => {
  await using small = await startSmallInternet(port);
  await using slots = await pool();
  const slot = await slots.acquire();
  const script =
    'flush ruleset\ntable ip t { chain c { type nat hook postrouting priority 100; oifname "up0" masquerade; }; }\n';
  await run('ip', ['netns', 'exec', slot.namespace, 'nft', '-f', '-'], { input: script });
  const from = (...args: (string | number)[]) => probe(slot.namespace, ...args);
  expect(await from('tcp', publicAddress, port)).toBe('connected');
  expect(await from('udp', publicAddress, port, 'out')).toBe('timeout');
  for (const address of [lanAddress, metadataAddress, hostAddress]) {
    expect(await from('tcp', address, port)).not.toBe('connected');
  }
  await small.servers.until((line) => line === `tcp ${hostAddress}`);
  expect(small.servers.lines.filter((line) => line !== 'ready')).toHaveLength(1);
});

const slotRulesOf = async (slot: Slot): Promise<string> =>
  (await run('ip', ['netns', 'exec', slot.namespace, 'nft', 'list', 'ruleset'])).stdout;

async function fromHost(address: string, tcpPort: string): Promise<string> {
  const dial = `import socket\ntry: socket.create_connection(("${address}", ${tcpPort}), 1); print("connected")\nexcept OSError as e: print("timeout")`;
  return (await run('/usr/bin/python3', ['-c', dial])).stdout.trim();
}

test('UDP by setting; private networks by setting, but never an address of the host', async () => {
  await using small = await startSmallInternet(port);
  const link = `wbt${process.pid}`.slice(0, 15);
  await run('ip', ['addr', 'add', '192.168.213.9/32', 'dev', link]);
  await using slots = await pool({ egressUdp: true, allowedPrivateRanges: ['192.168.213.0/24'] });
  await using guest = await standInGuest(await slots.acquire());
  expect(await guest.probe('udp', publicAddress, port, 'hello')).toBe('hello');
  expect(await guest.probe('tcp', lanAddress, port)).toBe('connected');
  expect(await guest.probe('udp', lanAddress, port, 'lan')).toBe('lan');
  await small.servers.until((line) => line === `tcp ${hostAddress}`);
  for (const address of ['192.168.213.9', '192.168.214.1', metadataAddress]) {
    expect(await guest.probe('tcp', address, port)).toBe('EHOSTUNREACH');
  }
});

test.each(['8.8.8.0/24', '127.0.0.0/8', '169.254.0.0/16', '10.111.0.0/24', '0.0.0.0/0', 'fd00::/8', '192.168.0.0/33'])(
  'the range %s cannot be allowed',
  async (range) => {
    await expect(pool({ allowedPrivateRanges: [range] })).rejects.toMatchObject({ code: 'invalid_input' });
  },
);

test('without egress there are no names either, and that is said at once', async () => {
  await using slots = await pool({ egress: 'none' });
  await using guest = await standInGuest(await slots.acquire());
  expect(await guest.probe('udp', gateway, 53, 'x')).toBe('EHOSTUNREACH');
  expect(await guest.probe('tcp', gateway, 53)).toBe('EHOSTUNREACH');
});

test('a second server is out of reach of the guests of the first, its resolver too', async () => {
  const other = (Number.parseInt(instance, 16) ^ 0xfff).toString(16).padStart(6, '0');
  await using two = await pool({ instance: other });
  const there = await two.acquire();
  const network = there.relay.host.split('.').slice(0, 2).join('.');
  await using one = await pool({ allowedPrivateRanges: [`${network}.0.0/16`] });
  await using guest = await standInGuest(await one.acquire());
  await using observer = await NetworkHelper.start(undefined, 'sniff', `wb${other}-${there.index}`);
  const [, address = '', tcpPort = ''] = (await slotRulesOf(there)).match(/tcp dport 53 dnat ip to (\S+):(\d+)/) ?? [];
  expect(await guest.probe('tcp', there.relay.host, guestNetwork.relayPort)).toMatch(/timeout|EHOSTUNREACH/);
  expect(await guest.probe('tcp', address, Number(tcpPort))).toMatch(/timeout|EHOSTUNREACH/);
  expect(observer.lines).toHaveLength(1);
});
