// Probes: what an image with every capability of Linux gets. It owns its machine then, and nothing beyond it.
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { EndReason } from '../../../src/contract/node-api.ts';
import { within } from '../../../src/lib/deadline.ts';
import { hashImages } from '../../support/hostile/aftermath.ts';
import type { HostileGuest } from '../../support/hostile/hostile-guest.ts';
import { forbiddenAddresses, publicAddress } from '../../support/hostile/outside.ts';
import type { Rig } from '../../support/hostile/rig.ts';

export function allPowersProbes(rig: () => Rig): void {
  let buildId: string;
  let mighty: HostileGuest;
  beforeAll(async () => {
    buildId = await rig().host.build({ allCapabilities: true });
    mighty = await rig().host.launch('mighty', buildId);
  });
  afterAll(() => mighty && rig().host.end(mighty));

  /** Runs what ends the VM; the reason the host gives. */
  const endOf = async (name: string, source: string): Promise<EndReason> => {
    const { node } = rig().host.real;
    const guest = await rig().host.launch(name, buildId);
    const ended = new Promise<EndReason>((resolve) =>
      node.onEnded((id, reason) => (id === guest.id ? resolve(reason) : undefined)),
    );
    guest.run(source, { timeoutMs: 5000 }).catch(() => {});
    const reason = await within(60_000, 'The end of the VM', ended);
    expect(node.list().map(({ microvmId }) => microvmId)).not.toContain(guest.id);
    return reason;
  };

  test('it really has all of them', async () => {
    expect((await mighty.tell<Record<string, string>>('answer(capabilities())')).CapEff).toBe('000001ffffffffff');
  });

  test("the agent's control port: it is open once, and the agent has it", async () => {
    const found = await mighty.tell<string[]>(`
major = majors()["virtio-portsdev"]
answer([node(place, "c", major, n, use=True) for place in ("/tmp/port", "/dev/port") for n in range(8)])`);
    expect(found.filter((one) => one === 'ok')).toEqual([]);
  });

  test("another address, MAC and route for its card: still nobody else's", async () => {
    const { answer, noticed } = await rig().watched(() =>
      mighty.tell<string[]>(`
import fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def address(number, value):
    fcntl.ioctl(s, number, struct.pack("16sH2x4s8x", b"eth0", socket.AF_INET, socket.inet_aton(value)))
def card(value):
    fcntl.ioctl(s, 0x8924, struct.pack("16sH6s8x", b"eth0", 1, mac(value)))
did = [attempt(lambda: address(0x8916, "10.111.0.3")), attempt(lambda: card("02:57:42:00:00:09"))]
put(*[ether(syn(to, ${rig().canary.port}, source=source), source=who) for to in ${JSON.stringify(['127.0.0.1', rig().neighbour.place.slotAddress, ...forbiddenAddresses.private, publicAddress])}
      for source in ("10.111.0.3", GATEWAY, "8.8.8.8") for who in ("02:57:42:00:00:09", OWN_MAC)])
did += [attempt(lambda: address(0x8916, OWN)), attempt(lambda: card(OWN_MAC))]
answer(did)`),
    );
    expect(answer).toContain('ok');
    expect(noticed).toEqual([]);
    const [a, b] = [await mighty.ping(), await rig().neighbour.ping()];
    expect(Math.min(a, b)).toBeGreaterThan(0);
  });

  test('the disk below its file system: no other VM ever sees what it wrote', async () => {
    const before = await hashImages(rig().host.real.directory);
    const reason = await endOf(
      'scribbler',
      `
import stat
os.mknod("/dev/whole", stat.S_IFBLK | 0o600, os.makedev(majors()["virtblk"], 0))
fd = os.open("/dev/whole", os.O_WRONLY)
for at in range(0, 64 << 20, 1 << 20):
    os.pwrite(fd, os.urandom(1 << 16), at)
os.fsync(fd)
call("reboot", 0xFEE1DEAD, 672274793, 0x1234567, None)
write("/proc/sysrq-trigger", "c")
os.kill(1, 9)`,
    );
    expect(reason.what.length).toBeGreaterThan(10);
    expect(await hashImages(rig().host.real.directory)).toEqual(before);
    const next = await rig().host.launch('after-scribbler', buildId);
    expect(await next.ping()).toBeGreaterThan(0);
    await rig().host.end(next);
  });

  test('a crash of its kernel ends its VM with a reason, and no other', async () => {
    const reason = await endOf('crasher', 'write("/proc/sysrq-trigger", "c")');
    expect(reason).toMatchObject({ cause: 'guest_crashed', what: expect.stringMatching(/kernel/) });
    expect(await rig().neighbour.ping()).toBeGreaterThan(0);
  });

  test('a reset by its hardware ends its VM with a reason', async () => {
    const reason = await endOf(
      'resetter',
      `
out = port_out()
out(0xCF9, 2)
out(0xCF9, 6)`,
    );
    expect(reason).toMatchObject({ cause: 'guest_crashed', what: expect.stringMatching(/reset/) });
  });

  test('its devices, poked at random through their ports', async () => {
    const guest = await rig().host.launch('poker', buildId);
    const { pid } = guest.place;
    const uidBefore = /^Uid:.*$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[0];
    const poking = guest.run<number>(
      `
import random
out = port_out()
random.seed(7)
bases = (0x20, 0x40, 0x70, 0xA0, 0x3F8, 0x510, 0x514, 0x600, 0xCF8, 0xCFC, 0xC000)
for _ in range(3000):
    out(random.choice(bases) + random.randrange(4), random.randrange(256))
answer(3000 + poke_devices(300, 7))`,
      { timeoutMs: 8000 },
    );
    const poked = await within(
      45_000,
      'The end of the poking',
      poking.catch(() => {}),
    );
    expect(poked?.answer ?? 3001).toBeGreaterThan(3000);
    // It may have broken its own machine. The VMM is what it was, or gone.
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => undefined);
    if (status) expect(/^Uid:.*$/m.exec(status)?.[0]).toBe(uidBefore);
    expect(await rig().neighbour.ping()).toBeGreaterThan(0);
    await rig().host.end(guest);
  });
}
