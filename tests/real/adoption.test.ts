// VMs whose server is killed: they run on, the next one takes them over, and nothing of what cannot be taken over is left.
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, statfs } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../../src/lib/process.ts';
import { Relay } from '../../src/relay/relay.ts';
import type { Driver, Guest, Machine } from '../../src/vmm/driver.ts';
import { markedProcesses } from '../../src/vmm/qemu/process-identity.ts';
import { cgroupOf } from '../support/cgroup-facts.ts';
import { type HeldVm, type HeldVms, openHeldVms } from '../support/held-vms.ts';
import { statusOf } from '../support/process-facts.ts';

interface Answer {
  count: number;
  ticks: number;
  /** Seconds. */
  longest: number;
  digest: string;
  time: number;
}

let vms: HeldVms;
beforeAll(async () => {
  vms = await openHeldVms('ticks');
}, 400_000);
afterAll(() => vms?.close());

/** One request to the application. */
const ask = ({ guest }: Machine, path = '/'): Promise<Answer> => askThrough(guest, path);

async function askThrough(way: Pick<Guest, 'open'>, path: string): Promise<Answer> {
  const stream = await way.open(8080);
  return new Promise((resolve, reject) => {
    const outgoing = request(
      { createConnection: () => stream, path, headers: { connection: 'close' } },
      async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        resolve(JSON.parse(text) as Answer);
      },
    );
    outgoing.on('error', reject).end();
  });
}

/** A VM whose holder was killed while it ran. */
async function orphan(name: string): Promise<HeldVm> {
  const vm = await vms.place(name);
  const holder = vms.hold(vm);
  await holder.said('running');
  await holder.crash();
  return vm;
}

async function adopted(driver: Driver, vm: HeldVm): Promise<Machine> {
  const machine = await driver.adopt(vm.adoption);
  if (!machine) throw new Error('it was not adopted');
  return machine;
}

/** Nothing of it is left on the machine. */
async function expectGone(vm: HeldVm): Promise<void> {
  const { runDirectory } = vm.order;
  expect((await markedProcesses(vms.runRoot)).filter((one) => one.runDirectory === runDirectory)).toEqual([]);
  expect((await readdir(vms.runRoot)).filter((name) => join(vms.runRoot, name).startsWith(runDirectory))).toEqual([]);
}

test('a guest ticks and prints on while nobody is there, and the next server takes it over', async () => {
  const vm = await vms.place('ticks');
  const holder = vms.hold(vm);
  await holder.said('running');
  const driver = await vms.driver();
  await holder.crash();
  const first = await adopted(driver, vm);
  const before = await ask(first, '/begin');
  await first.leave();
  await pause(4000);
  let printed = 0;
  const again = await vms.driver();
  const machine = await again.adopt({
    ...vm.adoption,
    onConsole: (text) => {
      printed += text.length;
    },
  });
  if (!machine) throw new Error('it was not adopted again');
  const after = await ask(machine);
  expect(after.digest).toBe(before.digest);
  expect(after.count).toBe(before.count + 1);
  expect(after.longest).toBeLessThan(1);
  // Its own clock went on as well: the VM itself did not stand still.
  expect(after.time - before.time).toBeGreaterThan(3);
  await expect.poll(() => printed).toBeGreaterThan(0);
  // SIGPIPE is ignored: what it has to say on its standard error, whose reader died, cannot end it.
  const ignored = BigInt(`0x${(await statusOf(machine.pid)).SigIgn}`);
  expect(ignored & (1n << 12n)).not.toBe(0n);
  expect((await machine.statistics()).residentBytes).toBeGreaterThan(0);

  await machine.suspend(vm.snapshot(1));
  await expectGone(vm);
  const woken = await again.restore({ ...vm.order, snapshot: vm.snapshot(1) });
  expect(await ask(woken)).toMatchObject({ digest: before.digest, count: before.count + 2 });
  await woken.suspend(vm.snapshot(2));
  const last = await again.restore({ ...vm.order, snapshot: vm.snapshot(2) });
  expect(await ask(last)).toMatchObject({ digest: before.digest, count: before.count + 3 });
  await last.kill();
  await expectGone(vm);
});

test('VMs of one image share its memory with the one that was taken over', async () => {
  const vm = await orphan('shared');
  const driver = await vms.driver();
  const machine = await adopted(driver, vm);
  const other = await vms.place('sharer');
  const second = await driver.restore(other.order);
  const memoryOf = async (one: HeldVm): Promise<unknown> =>
    JSON.parse(await readFile(join(one.order.runDirectory, 'vmm.json'), 'utf8')).restored.memory;
  expect(await memoryOf(other)).toBe(await memoryOf(vm));
  expect((await ask(second)).digest).toBe((await ask(machine)).digest);
  await Promise.all([machine.kill(), second.kill()]);
});

test.each([0, 15, 30, 50, 75, 120])(
  'a server that is killed %d ms after it began to suspend leaves a VM that goes on, or a whole snapshot',
  async (ms) => {
    const vm = await vms.place(`cut-${ms}`);
    const holder = vms.hold(vm);
    await holder.said('running');
    holder.tell(vm.snapshot(1));
    await pause(ms);
    await holder.crash();
    const driver = await vms.driver();
    let machine: Machine;
    if (existsSync(vm.snapshot(1))) {
      await driver.sweep(vms.runRoot, new Set());
      await expectGone(vm);
      machine = await driver.restore({ ...vm.order, snapshot: vm.snapshot(1) });
    } else {
      machine = await adopted(driver, vm);
    }
    const { count, digest } = await ask(machine);
    expect(count).toBe(1);
    await machine.suspend(vm.snapshot(2));
    const woken = await driver.restore({ ...vm.order, snapshot: vm.snapshot(2) });
    expect(await ask(woken)).toMatchObject({ count: 2, digest });
    await woken.kill();
  },
);

test.each([5, 60])('a VM that was still being started %d ms after that began is ended', async (ms) => {
  const vm = await vms.place(`early-${ms}`);
  const holder = vms.hold(vm);
  await holder.said('started');
  await expect.poll(() => existsSync(vm.order.runDirectory), { interval: 1, timeout: 60_000 }).toBe(true);
  await pause(ms);
  await holder.crash();
  const driver = await vms.driver();
  const machine = await driver.adopt(vm.adoption);
  // On a fast machine it ran already.
  await machine?.kill();
  await expectGone(vm);
});

test('the end of an adopted VMM is noticed at once, and that its exit code is unknown is said', async () => {
  const vm = await orphan('dies');
  const machine = await adopted(await vms.driver(), vm);
  const group = await cgroupOf(machine.pid, 'memory');
  const began = performance.now();
  process.kill(machine.pid, 'SIGKILL');
  const end = await machine.ended;
  expect(performance.now() - began).toBeLessThan(1000);
  expect(end).toMatchObject({ cause: 'vmm_died', what: expect.stringContaining('unknown') });
  await expectGone(vm);
  await expect.poll(() => existsSync(group)).toBe(false);
});

test('an application that ends while nobody is there has ended for the next server', async () => {
  const vm = await vms.place('exits');
  const holder = vms.hold(vm);
  await holder.said('running');
  await holder.crash();
  const machine = await adopted(await vms.driver(), vm);
  await ask(machine, '/exit');
  await machine.leave();
  await pause(2_000);
  const later = await adopted(await vms.driver(), vm);
  expect(await later.ended).toMatchObject({ cause: 'application_exited', exitCode: 7 });
});

test('a suspend whose snapshot gets no name leads back to a VM that runs', async () => {
  const vm = await vms.place('nameless');
  const driver = await vms.driver();
  const machine = await driver.restore(vm.order);
  const { digest } = await ask(machine);
  // Nothing can be renamed to a name that a directory with something in it has.
  await mkdir(join(vm.snapshot(1), 'occupied'), { recursive: true });
  await expect(machine.suspend(vm.snapshot(1))).rejects.toThrow('ENOTEMPTY');
  expect(await ask(machine)).toMatchObject({ count: 2, digest });
  await machine.suspend(vm.snapshot(2));
  await expectGone(vm);
});

test('a VM that waits for space on the disk waits on with the next server, and goes on when there is room', async () => {
  const vm = await vms.place('full');
  const { disks } = vm.order;
  await mkdir(disks);
  // A file system of its own: what is filled here is nobody else's.
  await run('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'waterbear-full', disks]);
  try {
    const holder = vms.hold(vm);
    await holder.said('running');
    await askThrough(new Relay(vm.slot.relay), '/fill');
    await expect.poll(async () => (await statfs(disks)).bavail, { timeout: 60_000 }).toBeLessThan(256);
    await pause(1_000);
    await holder.crash();
    const machine = await adopted(await vms.driver(), vm);
    const heard: boolean[] = [];
    machine.onStall((stalled) => heard.push(stalled));
    expect(heard).toEqual([true]);
    await expect(machine.suspend(vm.snapshot(1))).rejects.toMatchObject({ code: 'capacity_exhausted' });
    await run('mount', ['-o', 'remount,size=256m', disks]);
    await expect.poll(() => heard, { timeout: 30_000 }).toEqual([true, false]);
    expect((await ask(machine)).count).toBe(2);
    await machine.suspend(vm.snapshot(1));
    await expectGone(vm);
  } finally {
    await vms.sweep();
    await run('umount', [disks]);
  }
});

test('a sweep ends what is not kept, and nothing of its own', async () => {
  const [kept, lost] = [await orphan('kept'), await orphan('lost')];
  const driver = await vms.driver();
  const own = await vms.place('own');
  const machine = await driver.restore(own.order);
  const swept = await driver.sweep(vms.runRoot, new Set([kept.order.runDirectory]));
  expect(swept).toEqual([{ runDirectory: lost.order.runDirectory, pid: expect.any(Number) }]);
  await expectGone(lost);
  expect((await ask(machine)).count).toBe(1);
  const survivor = await adopted(driver, kept);
  expect((await ask(survivor)).count).toBe(1);
  await Promise.all([machine.kill(), survivor.kill()]);
  expect(await driver.sweep(vms.runRoot, new Set())).toEqual([]);
});
