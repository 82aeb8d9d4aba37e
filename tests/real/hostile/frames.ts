// Probes: what forged frames get an attacker who may open raw sockets. The slot's own link is watched on the host.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../../src/lib/process.ts';
import { hostAddresses } from '../../support/hostile/host-canary.ts';
import { forbiddenAddresses, publicAddress } from '../../support/hostile/outside.ts';
import { isHarmless, type Rig } from '../../support/hostile/rig.ts';
import { describeFrame } from '../net/frames.ts';
import { NetworkHelper } from '../net/network-helper.ts';

const relayTraffic = /^(syn|syn-ack|tcp) .*:61999\b/;

export function frameProbes(rig: () => Rig): void {
  let link: NetworkHelper;
  beforeAll(async () => {
    link = await NetworkHelper.start(undefined, 'sniff', rig().attacker.place.hostLink);
  });
  afterAll(() => link?.[Symbol.asyncDispose]());

  const inSlot = async (...args: string[]): Promise<string> =>
    (await run('ip', ['-n', rig().attacker.place.namespace, ...args])).stdout;

  /** Sends frames of which none may leave the slot; the source's answer. Port + 1 of the stand-in marks what is not the watcher's own. */
  const expectKept = async <T>(source: string): Promise<T> => {
    link.lines.length = 0;
    const port = rig().outside.port;
    const { answer, noticed } = await rig().watched(() =>
      rig().attacker.tell<T>(`P, MARK = "${publicAddress}", ${port + 1}\n${source}`, { timeoutMs: 20_000 }),
    );
    await link.until((line) => describeFrame(line).includes(`> ${publicAddress}:${port}`));
    expect(noticed).toEqual([]);
    const left = link.lines.filter((line) => !isHarmless(line, port) && !relayTraffic.test(describeFrame(line)));
    expect(left.map((line) => `${describeFrame(line)} ${line}`)).toEqual([]);
    return answer;
  };

  test('to be somebody else: packets with a false source address', async () => {
    const { hostAddress } = rig().attacker.place;
    const { slotAddress } = rig().neighbour.place;
    const others = ['10.111.0.1', '10.111.0.3', '127.0.0.1', '8.8.8.8', '0.0.0.0', hostAddress, slotAddress];
    await expectKept(`
put(*[ether(syn(P, MARK, source=other)) for other in ${JSON.stringify([...others, ...hostAddresses()])}])
answer(0)`);
  });

  test('to be another machine: frames with a false MAC', async () => {
    await expectKept(`
macs = (GATEWAY_MAC, "02:57:42:00:00:09", "00:00:00:00:00:00", EVERYBODY)
put(*[ether(syn(P, MARK), source=one) for one in macs])
put(*[ether(syn(P, MARK), to=one) for one in (OWN_MAC, "02:57:42:00:00:09", EVERYBODY, "01:00:5e:00:00:01")])
answer(0)`);
  });

  test('to be the gateway: answers to ARP questions nobody asked', async () => {
    const before = await inSlot('neigh');
    const got = await expectKept<string[]>(`
forged = [arp(kind, who, GATEWAY, to) for kind in (1, 2) for who in (OWN_MAC, EVERYBODY) for to in (GATEWAY, OWN)]
answer(exchange([ether(one, ARP, to=to) for one in forged for to in (GATEWAY_MAC, EVERYBODY)]))`);
    expect(await inSlot('neigh')).toBe(before);
    expect(got.filter((line) => line === 'arp')).toEqual([]);
  });

  test('to move its own address elsewhere: gratuitous ARP with another MAC', async () => {
    await expectKept(`
put(*[ether(arp(kind, "02:57:42:00:00:09", OWN, OWN), ARP, to=EVERYBODY, source=s) for kind in (1, 2) for s in (OWN_MAC, "02:57:42:00:00:09")])
answer(0)`);
    expect(await inSlot('neigh', 'show', '10.111.0.2')).toMatch(/lladdr 02:57:42:00:00:02 PERMANENT/);
  });

  test("to learn of others by ARP: the host's addresses, the neighbour's, its slot's", async () => {
    const { attacker, neighbour } = rig();
    const asked = [
      ...hostAddresses(),
      attacker.place.slotAddress,
      attacker.place.hostAddress,
      neighbour.place.slotAddress,
    ];
    const got = await expectKept<string[]>(`
answer(exchange([ether(arp(1, OWN_MAC, OWN, one), ARP, to=to) for one in ${JSON.stringify(asked)} for to in (EVERYBODY, GATEWAY_MAC)]))`);
    expect(got.filter((line) => line === 'arp')).toEqual([]);
  });

  test('to fill the neighbour tables with an ARP flood', async () => {
    await expectKept(`
card, made = wire(), 0
for i in range(20000):
    try:
        card.send(ether(arp(1 + i % 2, f"02:57:42:{i >> 16 & 255:02x}:{i >> 8 & 255:02x}:{i & 255:02x}", f"10.111.{i >> 8 & 255}.{i & 255}", GATEWAY), ARP, to=EVERYBODY))
        made += 1
    except OSError:
        pass
answer(made)`);
    expect((await inSlot('neigh')).trim().split('\n').length).toBeLessThan(8);
    expect(
      (await run('ip', ['neigh', 'show', 'dev', rig().attacker.place.hostLink])).stdout.split('\n').length,
    ).toBeLessThan(8);
  });

  test('to hop to another network by VLAN tags, one and two', async () => {
    await expectKept(`
import struct
tag = lambda number, kind, rest: struct.pack("!HH", number, kind) + rest
inner = syn(P, MARK)
put(*[ether(tag(number, IP4, inner), kind) for number in (0, 1, 100, 4095) for kind in (VLAN, 0x88A8)])
put(*[ether(tag(1, VLAN, tag(number, IP4, inner)), kind) for number in (0, 100) for kind in (VLAN, 0x88A8)])
answer(0)`);
  });

  test('to speak with switches and routers: STP, LLDP, EAPOL, PPPoE, MPLS, LACP', async () => {
    await expectKept(`
put(*[ether(b"\\x42\\x42\\x03" + bytes(60), kind, to=to) for kind in (0x26, 0x88CC, 0x888E, 0x8863, 0x8847, 0x8809)
      for to in ("01:80:c2:00:00:00", "01:80:c2:00:00:0e", GATEWAY_MAC)])
answer(0)`);
  });

  test('to reach the host over IPv6: echo, solicitations, advertisements, UDP to everybody, loopback', async () => {
    const got = await expectKept<string[]>(`
import struct
targets = ("ff02::1", "ff02::2", "fe80::1", "::1", "fe80::57:42ff:fe00:1", "::ffff:127.0.0.1")
made = [icmp6(to, kind, bytes(20)) for to in targets for kind in (128, 133, 134, 135, 136, 137)]
made += [ip6(to, 17, struct.pack("!HHHH", 4000, ${rig().canary.port}, 8, 1)) for to in targets]
answer(exchange([ether(one, IP6, to=to) for one in made for to in (GATEWAY_MAC, "33:33:00:00:00:01")], 1))`);
    expect(got.filter((line) => line === 'ip6')).toEqual([]);
  });

  test('to become the name and address server of others: DHCP', async () => {
    await expectKept(`
put(*[ether(udp("255.255.255.255", port, "\\1\\1\\6" + "x" * 240, source=source), to=EVERYBODY) for port in (67, 68) for source in (OWN, "0.0.0.0")])
answer(0)`);
  });

  test('to get past the filter in pieces: IP fragments, tiny and overlapping', async () => {
    const targets = [...forbiddenAddresses.private, ...forbiddenAddresses.metadata, rig().neighbour.place.slotAddress];
    await expectKept(`
made = []
for to in ${JSON.stringify(targets)}:
    whole = syn(to, ${rig().canary.port})[20:] + b"forbidden" * 8
    made += [ip4(to, 6, whole[:8], fragment=0x2000), ip4(to, 6, whole[8:24], fragment=0x2001), ip4(to, 6, whole[24:], fragment=3)]
    made += [ip4(to, 6, whole[:24], fragment=0x2000), ip4(to, 6, whole[8:], fragment=1)]
made += [ip4(P, 17, udp(P, MARK, "forbidden" * 4)[20:36], fragment=0x2000), ip4(P, 17, b"forbidden", fragment=2)]
put(*[ether(one) for one in made])
answer(0)`);
  });

  test('to be routed by its own wishes: loose and strict source routes', async () => {
    await expectKept(`
import socket
made = []
for kind in (0x83, 0x89):
    for via, to in ((P, "10.213.7.7"), ("10.213.7.7", P), (GATEWAY, "127.0.0.1")):
        made.append(syn(via, MARK, options=bytes((kind, 7, 4)) + socket.inet_aton(to) + b"\\0"))
put(*[ether(one) for one in made])
answer(len(made))`);
  });

  test('to change the routes of its slot: ICMP redirects and false refusals', async () => {
    const before = await inSlot('route');
    await expectKept(`
import socket
about = syn(P, 80)[:28]
icmp = lambda kind, code, rest: (lambda b: b[:2] + checksum(b).to_bytes(2, "big") + b[4:])(bytes((kind, code, 0, 0)) + rest + about)
made = [ip4(to, 1, icmp(kind, code, socket.inet_aton(OWN))) for to in (GATEWAY, "${rig().attacker.place.hostAddress}")
        for kind, code in ((5, 0), (5, 1), (3, 4), (11, 0), (9, 0), (17, 0))]
put(*[ether(one) for one in made])
answer(0)`);
    expect(await inSlot('route')).toBe(before);
  });

  test('to break the host with packets that lie about themselves', async () => {
    await expectKept(`
import os, struct
good = bytearray(syn("10.213.7.7", 80))
made = []
for at, value in ((0, 0x40), (0, 0x4F), (0, 0x95), (2, 0xFF), (2, 0), (8, 0), (10, 0)):
    bad = bytearray(good)
    bad[at] = value
    made.append(ether(bytes(bad)))
made += [ether(bytes(good[:n])) for n in (0, 1, 9, 19, 21, 39)]
made += [ether(ip4("10.213.7.7", 1, os.urandom(1400), fragment=8000 + 0x2000 * (i % 2))) for i in range(40)]
made += [ether(os.urandom(n), kind) for n in (1, 46, 1400) for kind in (IP4, ARP, IP6, VLAN, 0xFFFF)]
for one in made:
    try:
        put(one)
    except OSError:
        pass
answer(len(made))`);
    expect(await rig().neighbour.ping()).toBeGreaterThan(0);
  });
}
