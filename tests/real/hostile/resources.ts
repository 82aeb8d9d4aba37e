// Probes: all of a resource. Each attacker has a VM of its own; the shared neighbour answers meanwhile, and the host's share stays bounded.
import type { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import { within } from '../../../src/lib/deadline.ts';
import { bytesOnDisk } from '../../support/hostile/aftermath.ts';
import type { HostileGuest } from '../../support/hostile/hostile-guest.ts';
import { guestSize, type Rig } from '../../support/hostile/rig.ts';
import { processesIn, vmmFacts } from '../../support/hostile/vmm.ts';
import { connectTo } from '../../support/real-node.ts';

const mib = 2 ** 20;
/** Of a VMM: its guest's memory, and what QEMU and its translated code take beside that. */
const mostResident = (guestSize.memoryMib + 450) * mib;
/** The VMM's threads: processors, I/O, workers. */
const mostThreads = 80;
/** No limit on time in itself: an answer that takes this long is none. */
const patienceMs = 20_000;

export function resourceProbes(rig: () => Rig): void {
  /** Attacks for some seconds in a VM of its own; `after` sees what is left of it. Its end is the host's to bring about. */
  const attackAlone = async (
    name: string,
    source: string,
    options: { timeoutMs?: number; meanwhile?: (guest: HostileGuest) => Promise<void> } = {},
    after: (guest: HostileGuest, answer: unknown) => Promise<void> = async () => {},
  ): Promise<void> => {
    const { host, neighbour } = rig();
    const guest = await host.launch(name, rig().buildId);
    const { pid, namespace } = guest.place;
    try {
      let over = false;
      const attack = guest
        .run(source, { timeoutMs: options.timeoutMs ?? 4000 })
        .catch(() => undefined)
        .finally(() => {
          over = true;
        });
      do {
        expect(await neighbour.ping()).toBeLessThan(patienceMs);
        const facts = await vmmFacts(pid);
        expect(facts.residentBytes).toBeLessThan(mostResident);
        expect(facts.threads).toBeLessThan(mostThreads);
        expect(await processesIn(namespace)).toEqual([pid]);
        await options.meanwhile?.(guest);
      } while (!over);
      await after(guest, (await attack)?.answer);
    } finally {
      await host.end(guest);
    }
    expect(host.real.node.list().map(({ microvmId }) => microvmId)).not.toContain(guest.id);
  };

  test('a fork bomb', async () => {
    await attackAlone('forker', 'while True:\n    attempt(os.fork)');
  });

  test('every thread and every file that it can open', async () => {
    await attackAlone(
      'opener',
      `
import resource, threading, time
resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
held = []
try:
    while len(held) < 100000:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
try:
    for _ in range(3000):
        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
except RuntimeError:
    pass
answer(len(held))`,
      {},
      async (guest) => void expect(await guest.ping()).toBeGreaterThan(0),
    );
  });

  test('all memory', async () => {
    await attackAlone(
      'eater',
      `
held = []
while True:
    held.append(os.urandom(4096) * 1024)`,
      { timeoutMs: 6000 },
    );
  });

  test('all memory, in files that live in memory; then it sleeps and wakes', async () => {
    await attackAlone(
      'stuffer',
      `
block = os.urandom(1 << 20)
def fill(path):
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(block)
answer([attempt(lambda: fill("/dev/shm/x")), attempt(lambda: fill("/dev/x"))])`,
      { timeoutMs: 20_000 },
      async (guest, answer) => {
        expect(answer).toEqual(['ENOSPC', 'ENOSPC']);
        const { node } = rig().host.real;
        const { asleepBytes } = await node.suspend(guest.id);
        expect(asleepBytes).toBeLessThan((guestSize.memoryMib + 100) * mib);
        await node.resume(guest.id);
        expect(await guest.ping()).toBeGreaterThan(0);
      },
    );
  });

  test('all of the disk; then it sleeps and wakes', async () => {
    const { real } = rig().host;
    const disks = `${real.directory}/vms/microvm-filler`;
    await attackAlone(
      'filler',
      `
block = os.urandom(1 << 20)
def fill():
    with open("/var/tmp/full", "wb", buffering=0) as file:
        while True:
            file.write(block)
how = attempt(fill)
answer([how, os.path.getsize("/var/tmp/full")])`,
      { timeoutMs: 45_000 },
      async (guest, answer) => {
        const [how, bytes] = answer as [string, number];
        expect(how).toBe('ENOSPC');
        expect(bytes).toBeLessThan(guestSize.diskMib * mib);
        await real.node.suspend(guest.id);
        expect(await bytesOnDisk(disks)).toBeLessThan((guestSize.diskMib + guestSize.memoryMib + 100) * mib);
        await real.node.resume(guest.id);
        expect(await guest.tell<number>('answer(os.path.getsize("/var/tmp/full"))')).toBe(bytes);
      },
    );
  });

  test('its output: as fast as it can, with control characters', async () => {
    const { directory } = rig().host.real;
    const [memory, disk] = [process.memoryUsage().rss, await bytesOnDisk(directory)];
    await attackAlone(
      'shouter',
      `
import time
out, text, end, sent = os.open("/proc/1/fd/1", os.O_WRONLY), b"\\x1b[2J\\x1b]0;owned\\7\\0\\r{\\"id\\":1}\\n" * 2000, time.monotonic() + 4, 0
while time.monotonic() < end:
    sent += os.write(out, text)
answer(sent)`,
      { timeoutMs: 15_000 },
      async (guest, answer) => {
        expect(answer).toBeGreaterThan(mib);
        expect(await guest.ping()).toBeGreaterThan(0);
        await rig().host.real.node.suspend(guest.id);
      },
    );
    expect(process.memoryUsage().rss - memory).toBeLessThan(300 * mib);
    expect((await bytesOnDisk(directory)) - disk).toBeLessThan(50 * mib);
  });

  test('the processors: every one in an endless loop', async () => {
    await attackAlone('burner', 'for _ in range(7):\n    os.fork()\nwhile True:\n    pass');
  });

  test('to stay awake: it forks while it is put to sleep', async () => {
    const { node } = rig().host.real;
    const guest = await rig().host.launch('insomniac', rig().buildId);
    try {
      guest
        .run(
          'for _ in range(12):\n    if os.fork() == 0:\n        while True:\n            os.waitpid(os.fork() or os._exit(0), 0)',
          { timeoutMs: 60_000 },
        )
        .catch(() => {});
      await expect
        .poll(() => guest.tell<number>('answer(sum(name.isdigit() for name in os.listdir("/proc")))'), {
          timeout: 60_000,
        })
        .toBeGreaterThanOrEqual(12);
      const outcome = await within(
        60_000,
        'The suspend',
        node.suspend(guest.id).catch((error: Error) => error),
      );
      // Either it sleeps, or it runs on and the host says why.
      const state = node.list().find(({ microvmId }) => microvmId === guest.id)?.state;
      expect(state).toBe(outcome instanceof Error ? 'running' : 'asleep');
      if (outcome instanceof Error)
        expect(outcome).toMatchObject({ code: expect.stringMatching(/guest_failed|deadline/) });
    } finally {
      await rig().host.end(guest);
    }
  });

  test('connections to its relay from inside, without end, while the host uses it', async () => {
    await attackAlone(
      'dialler',
      `
import resource, socket, time
resource.setrlimit(resource.RLIMIT_NOFILE, (60000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
end, held = time.monotonic() + 3, []
while time.monotonic() < end and len(held) < 50000:
    one = socket.socket()
    one.setblocking(False)
    one.connect_ex((OWN, 61999))
    held.append(one)
answer(len(held))`,
      { timeoutMs: 8000, meanwhile: async (guest) => void expect(await guest.ping()).toBeLessThan(patienceMs) },
      async (_, answer) => void expect(answer).toBeGreaterThan(100),
    );
  });

  test('connections that its clients leave open: the limit refuses, and goes away with them', async () => {
    const { host } = rig();
    const guest = await host.launch('popular', rig().buildId);
    const open: Duplex[] = [];
    try {
      const results = await Promise.allSettled(
        Array.from({ length: 1200 }, () => connectTo(host.real.node, guest.id, 7070)),
      );
      for (const result of results) if (result.status === 'fulfilled') open.push(result.value.on('error', () => {}));
      const refused = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
      for (const reason of refused)
        expect(reason).toMatchObject({ code: expect.stringMatching(/guest_failed|deadline/) });
      for (const stream of open) stream.destroy();
      await expect.poll(() => guest.ping().catch(() => 0), { timeout: 30_000 }).toBeGreaterThan(0);
      expect(await rig().neighbour.ping()).toBeLessThan(patienceMs);
    } finally {
      for (const stream of open) stream.destroy();
      await host.end(guest);
    }
  });
}
