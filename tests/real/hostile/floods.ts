// Probes: too much of what is allowed. Host and neighbour go on while it lasts.
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { run } from '../../../src/lib/process.ts';
import { publicAddress } from '../../support/hostile/outside.ts';
import type { Rig } from '../../support/hostile/rig.ts';

const countFile = '/proc/sys/net/netfilter/nf_conntrack_count';
const maxFile = '/proc/sys/net/netfilter/nf_conntrack_max';
/** No limit on time in itself: an answer that takes this long is none. */
const patienceMs = 15_000;

export function floodProbes(rig: () => Rig): void {
  const conntrack = async (file: string): Promise<number> => Number(await readFile(file, 'utf8'));

  /** Neighbour and host work while the attack goes on; the attack's answer. */
  const during = async <T>(source: string, look: () => Promise<void> = async () => {}): Promise<T> => {
    let over = false;
    const attack = rig()
      .attacker.tell<T>(source, { timeoutMs: 20_000 })
      .finally(() => {
        over = true;
      });
    attack.catch(() => {});
    let looks = 0;
    do {
      expect(await rig().neighbour.ping()).toBeLessThan(patienceMs);
      await look();
      looks++;
    } while (!over);
    expect(looks).toBeGreaterThan(1);
    return attack;
  };

  test('the host and the neighbour stand still under a flood of packets', async () => {
    const { canary, outside } = rig();
    canary.came.length = 0;
    const sent = await during<number>(`
answer(flood(ether(syn("10.213.7.7", 80)), 1.5) + flood(ether(udp("${publicAddress}", 9, "x" * 1400)), 1.5) + flood(ether(bytes(1400), 0x88CC), 1))`);
    expect(sent).toBeGreaterThan(1000);
    expect(canary.came).toEqual([]);
    expect(await rig().attacker.tell<string>(`answer(tcp("${publicAddress}", ${outside.port}, 15))`)).toBe('connected');
  });

  test("the host's connection table runs full of its connections", async () => {
    const [before, most] = [await conntrack(countFile), await conntrack(maxFile)];
    let highest = 0;
    const { outside, attacker, neighbour } = rig();
    const sent = await during<number>(
      `
import struct, time
frame, sent, end, card = bytearray(ether(syn("${publicAddress}", 9, source_port=1024))), 0, time.monotonic() + 8, wire()
total = struct.unpack_from("!H", frame, 50)[0]
while time.monotonic() < end and sent < 40000:
    # The next source port, and the checksum that goes with it.
    total = total - 1 if total else 0xFFFE
    struct.pack_into("!H", frame, 34, 1025 + sent)
    struct.pack_into("!H", frame, 50, total)
    try:
        card.send(frame)
        sent += 1
    except OSError:
        pass
answer(sent)`,
      async () => {
        highest = Math.max(highest, (await conntrack(countFile)) - before);
      },
    );
    const inside = await run('ip', ['netns', 'exec', attacker.place.namespace, 'cat', countFile]);
    expect(sent).toBeGreaterThan(4200);
    expect(highest).toBeLessThan(Math.min(most / 4, 6000));
    expect(Number(inside.stdout)).toBeLessThan(Math.min(most / 4, 12_000));
    const how = await neighbour.tell<string>(`answer(tcp("${publicAddress}", ${outside.port}, 15))`);
    expect(how).toBe('connected');
  });

  /** What a name server said: number, flags, result. Nothing when it was silent. */
  const rcode = (said: string): number | undefined =>
    /^1234[89a-f]/.test(said) ? Number.parseInt(said.slice(7, 8), 16) : undefined;

  test('the name server answers an honest question about this machine by itself, over UDP and TCP', async () => {
    const before = await rig().outside.escaped();
    const [datagram, stream] = await rig().attacker.tell<[string, string]>(`
import socket
asked = question("localhost")
def over_tcp():
    with socket.create_connection((GATEWAY, 53), 3) as one:
        one.sendall(len(asked).to_bytes(2, "big") + asked)
        return one.recv(4096)[2:].hex()
answer([say(GATEWAY, 53, asked, 3), attempt(over_tcp)])`);
    for (const said of [datagram, stream]) expect([0, 3, 5]).toContain(rcode(said));
    expect(await rig().outside.escaped()).toBe(before);
  });

  test("names of the host's loopback lead to nothing but the guest's own", async () => {
    const said = await rig().attacker.tell<string[]>(`
answer([say(GATEWAY, 53, question(name, kind), 3) for name in ("localhost", "api.localhost", "LOCALHOST") for kind in (1, 28)])`);
    for (const one of said) {
      expect(rcode(one)).toBeDefined();
      // An address in the answer, if any, is 127.0.0.1 or ::1.
      if (rcode(one) === 0 && Number.parseInt(one.slice(12, 16), 16) > 0) expect(one).toMatch(/(7f000001|0{31}1)/);
    }
  });

  test('the name server refuses what is no question: updates, notifies, answers, none and many questions', async () => {
    const said = await rig().attacker.tell<string[]>(`
odd = [question("localhost", flags=flags) for flags in (0x2800, 0x2000, 0x1000, 0x0800, 0x8180)]
odd += [question("localhost", count=count) for count in (0, 2, 65535)] + [question("localhost")[:n] for n in (1, 11, 12, 20)]
odd += [bytes.fromhex("123401000001000000000000c00c00010001"), bytes.fromhex("1234010000010000000000003f41"), bytes(512)]
answer([say(GATEWAY, 53, one, 0.3) for one in odd])`);
    for (const one of said.filter((line) => rcode(line) !== undefined)) expect([1, 4, 5]).toContain(rcode(one));
  });

  test('a flood of broken questions does not hurt the name server', async () => {
    const before = process.memoryUsage().rss;
    const sent = await during<number>(`
import os, socket, time
sent, end = 0, time.monotonic() + 3
one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
one.connect((GATEWAY, 53))
while time.monotonic() < end:
    broken = bytearray(question("localhost"))
    broken[2 + sent % (len(broken) - 2)] ^= 1 + sent % 255
    broken[4:6] = b"\\0\\x09"
    try:
        one.send((bytes(broken), os.urandom(sent % 600), b"")[sent % 3])
    except OSError:
        pass
    sent += 1
answer(sent)`);
    expect(sent).toBeGreaterThan(500);
    const ask = 'answer(say(GATEWAY, 53, question("localhost"), 5))';
    // Its own limit may still hold it back for a moment; nobody else's.
    expect(rcode(await rig().neighbour.tell<string>(ask))).toBeDefined();
    await expect.poll(() => rig().attacker.tell<string>(ask).then(rcode), { timeout: 20_000 }).toBeDefined();
    expect(process.memoryUsage().rss - before).toBeLessThan(200 << 20);
  });

  test('idle connections to the name server are not held for ever, nor without number', async () => {
    const held = await rig().attacker.tell<number>(
      `
import select, socket, time
held = []
for _ in range(600):
    try:
        held.append(socket.create_connection((GATEWAY, 53), 0.2))
    except OSError:
        break
time.sleep(2)
gone = select.poll()
for one in held:
    gone.register(one, select.POLLIN | select.POLLRDHUP)
answer(len(held) - len(gone.poll(0)))`,
      { timeoutMs: 25_000 },
    );
    expect(held).toBeLessThan(300);
    const said = await rig().neighbour.tell<string>('answer(say(GATEWAY, 53, question("localhost"), 5))');
    expect(rcode(said)).toBeDefined();
  });
}
