// Probes: what the attacker wants to reach over the network with ordinary connections and forged first packets.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { hostAddresses } from '../../support/hostile/host-canary.ts';
import { forbiddenAddresses, publicAddress } from '../../support/hostile/outside.ts';
import type { Rig } from '../../support/hostile/rig.ts';
import { NetworkHelper } from '../net/network-helper.ts';

interface Scan {
  connected: string[];
  refused: string[];
  silent: number;
}

const guestPort = 7070;
const relayPort = 61999;

export function reachProbes(rig: () => Rig): void {
  const ports = (): number[] => [rig().canary.port, 22, 80, 443, 2375, 8080, 8443, 9000, 9100, guestPort, relayPort];

  // Behind the gateway's address there is otherwise nobody who could notice.
  let gateway: NetworkHelper;
  beforeAll(async () => {
    gateway = await NetworkHelper.start(rig().attacker.place.namespace, 'listen', `${rig().canary.port}`);
  });
  afterAll(() => gateway?.[Symbol.asyncDispose]());

  /** Runs the source unnoticed by anybody; its answer. */
  const quietly = async <T>(source: string): Promise<T> => {
    gateway.lines.length = 0;
    const { answer, noticed } = await rig().watched(() => rig().attacker.tell<T>(source, { timeoutMs: 20_000 }));
    expect([...noticed, ...gateway.lines]).toEqual([]);
    return answer;
  };
  /** Ordinary connections and datagrams to all ports of the addresses: nobody there may even say no, but the filter may. */
  const expectUnreachable = async (addresses: readonly string[], only = ports()): Promise<void> => {
    const [scan, datagrams] = await quietly<[Scan, string[]]>(`
targets = [(address, port) for address in ${JSON.stringify(addresses)} for port in ${JSON.stringify(only)}]
said = [say(address, ${rig().canary.port}, "forbidden", 0.2) for address in ${JSON.stringify(addresses)}]
answer([scan(targets), said])`);
    expect(scan.connected).toEqual([]);
    expect(scan.silent + scan.refused.length).toBe(addresses.length * only.length);
    expect(datagrams.filter((said) => /^[0-9a-f]{2,}$/.test(said))).toEqual([]);
  };
  /** Forged packets past the guest's own routing; what comes back. */
  const forged = (addresses: readonly string[]): Promise<string[]> =>
    quietly<string[]>(`
targets = [(address, port) for address in ${JSON.stringify(addresses)} for port in ${JSON.stringify(ports())}]
answer(exchange([ether(made) for a, p in targets for made in (syn(a, p), udp(a, p, "forbidden"))]))`);

  test('the way out is open: TCP to a public address, which the host notices', async () => {
    const { outside, attacker } = rig();
    outside.forget();
    const how = await attacker.tell<string>(`answer(tcp("${publicAddress}", ${outside.port}))`);
    expect(how).toBe('connected');
    await expect.poll(() => outside.visits).toEqual(['tcp 198.51.100.1']);
    expect(await rig().outside.escaped()).toBe(0);
  });

  test("services on the host's loopback, by packets for 127.0.0.1 sent to the gateway", async () => {
    const got = await forged(['127.0.0.1', '127.0.0.53', '0.0.0.0']);
    expect(got.filter((line) => /^(syn-ack|udp|tcp)/.test(line))).toEqual([]);
  });

  test('services on the other addresses of the host', async () => {
    expect(hostAddresses().length).toBeGreaterThan(1);
    await expectUnreachable(hostAddresses());
    expect((await forged(hostAddresses())).filter((line) => /^(syn-ack|udp|tcp)/.test(line))).toEqual([]);
  });

  test("any port of the host's end of its own link", async () => {
    const low = Array.from({ length: 1024 }, (_, i) => i + 1).filter((port) => port !== 53);
    await expectUnreachable([rig().attacker.place.hostAddress], [...low, ...ports()]);
  });

  test('any port of its gateway but that of the name server', async () => {
    const low = Array.from({ length: 1024 }, (_, i) => i + 1).filter((port) => port !== 53);
    await expectUnreachable(['10.111.0.1'], [...low, ...ports()]);
  });

  test('its own relay by way of the host: the address of its slot', async () => {
    await expectUnreachable([rig().attacker.place.slotAddress]);
  });

  test("a neighbour, at its slot's address, relay included", async () => {
    const { slotAddress, hostAddress } = rig().neighbour.place;
    await expectUnreachable([slotAddress, hostAddress]);
    expect((await forged([slotAddress, hostAddress])).filter((line) => /^(syn-ack|udp|tcp)/.test(line))).toEqual([]);
  });

  test('a neighbour, at the address that all guests have', async () => {
    const got = await forged(['10.111.0.2', '10.111.0.3']);
    expect(got.filter((line) => /^(syn-ack|udp|tcp)/.test(line))).toEqual([]);
  });

  test('slots at addresses next to its own', async () => {
    const [a, b] = rig().attacker.place.slotAddress.split('.');
    const around = Array.from({ length: 32 }, (_, i) => `${a}.${b}.0.${i}`);
    await expectUnreachable(around, [relayPort, guestPort]);
  });

  test.each([
    ['the metadata service', forbiddenAddresses.metadata],
    ['private networks', forbiddenAddresses.private],
    ["the carrier's network", forbiddenAddresses.carrier],
    ['reserved and benchmark networks', forbiddenAddresses.reserved],
  ])('%s', async (_, addresses) => {
    await expectUnreachable(addresses);
    expect((await forged(addresses)).filter((line) => /^(syn-ack|udp|tcp)/.test(line))).toEqual([]);
  });

  test('everybody at once: multicast and broadcast', async () => {
    const groups = ['224.0.0.1', '224.0.0.251', '239.255.255.250', '255.255.255.255', '10.111.0.3'];
    await quietly(`
groups = ${JSON.stringify(groups)}
put(*[ether(udp(group, ${rig().canary.port}, "forbidden"), to=to) for group in groups for to in (GATEWAY_MAC, EVERYBODY)])
answer([say(group, ${rig().canary.port}, "forbidden", 0.1) for group in groups])`);
  });

  test('the public over UDP, with which it could take part in floods', async () => {
    const said = await quietly<string>(`
put(ether(udp("${publicAddress}", ${rig().outside.port}, "forbidden")))
answer(say("${publicAddress}", ${rig().outside.port}, "forbidden"))`);
    expect(said).not.toMatch(/^[0-9a-f]+$/);
  });

  test('the public over ICMP', async () => {
    const got = await quietly<string[]>(`answer(exchange([ether(ping("${publicAddress}", "forbidden"))]))`);
    expect(got.filter((line) => line.startsWith(`icmp ${publicAddress}`))).toEqual([]);
  });

  test('the public over raw IP protocols: IPIP, 6in4, GRE, ESP, SCTP, UDP-Lite', async () => {
    await quietly(`
numbers = [4, 41, 47, 50, 132, 136, 255]
put(*[ether(ip4("${publicAddress}", number, b"forbidden" * 4)) for number in numbers])
answer([raw(number, "${publicAddress}", b"forbidden" * 4) for number in numbers[:-1]])`);
  });

  test('the host over vsock, with no network at all', async () => {
    const how = await quietly<string[]>('answer([vsock(cid, port) for cid in (0, 1, 2) for port in (22, 1024, 9100)])');
    expect(new Set(how)).not.toContain('ok');
  });

  test('its own relay from inside, at every address it has', async () => {
    const said = await quietly<string[]>(`
import socket
said = []
for address in ("127.0.0.1", OWN, "0.0.0.0"):
    try:
        with socket.create_connection((address, ${relayPort}), 2) as one:
            one.sendall(b"9000\\n")
            said.append(one.recv(1).decode())
    except OSError as error:
        said.append(type(error).__name__)
answer(said)`);
    expect(said.filter((one) => one === '+')).toEqual([]);
  });

  test('itself, by its own address, which leads nowhere else', async () => {
    const before = (await rig().attacker.came()).length;
    expect(await rig().attacker.tell<string>(`answer(tcp(OWN, ${guestPort}))`)).toBe('connected');
    expect((await rig().attacker.came()).slice(before)).toEqual([['tcp', '10.111.0.2']]);
    expect(rig().canary.came).toEqual([]);
  });
}
