// A host on the fake driver and a hand-driven clock that has little to give: what is admitted, what waits, what is refused and in which words.
import { afterEach, expect, test, vi } from 'vitest';
import { closeHosts, committed, type FakeHost, hostWith } from './node-rig.ts';

afterEach(closeHosts);

const waiting = (host: FakeHost, count: number): Promise<void> =>
  vi.waitFor(() => expect(host.node.info().capacity.waiting).toBe(count));

/** Lets second after second pass; between them what the file system does comes to its end. */
async function pass(host: FakeHost, until: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !until(); i++) {
    await host.clock.advance(1000);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

test('launches beyond the memory are refused, and what ends or sleeps makes room', async () => {
  const host = await hostWith();
  const results = await Promise.allSettled(['a', 'b', 'c', 'd', 'e', 'f'].map((name) => host.launch(name)));
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(3);
  expect(results.find(({ status }) => status === 'rejected')).toMatchObject({
    reason: {
      code: 'capacity_exhausted',
      message:
        'This host has no memory left for that: 512 MiB are needed; of 2000 MiB for MicroVMs and builds 1537 MiB are committed, ' +
        '463 MiB are free. Suspend or terminate MicroVMs, or raise --memory.',
    },
  });
  const [one, two] = host.node.list().map(({ microvmId }) => microvmId);
  await host.node.suspend(one ?? '');
  await host.launch('g');
  await host.node.terminate(two ?? '');
  await host.launch('h');
  await expect(host.launch('i')).rejects.toMatchObject({ code: 'capacity_exhausted' });
  for (const { microvmId } of host.node.list()) await host.node.terminate(microvmId);
  expect(committed(host)).toBe(0);
});

test('a VM that dies, a launch that fails and a crash of the application give their room back', async () => {
  const host = await hostWith();
  host.buildId = await host.build({ environment: { FAKE_RUN_STATUS: '500' }, hooks: { port: 8080, runSeconds: 5 } });
  await expect(host.launch('bad')).rejects.toMatchObject({ code: 'hook_failed' });
  host.buildId = await host.build({ environment: { FAKE_RESTORE_FAILS: '1' } });
  await expect(host.launch('worse')).rejects.toMatchObject({ code: 'vmm_failed' });
  host.buildId = await host.build();
  await host.launch('dies');
  await host.driver.machines[0]?.die();
  await host.clock.advance(0);
  expect(committed(host)).toBe(0);
  await expect(
    host.build({ environment: { FAKE_READY_STATUS: '500' }, hooks: { port: 8080, readySeconds: 1 } }),
  ).rejects.toThrow();
  expect(committed(host)).toBe(0);
});

test('room that is reserved is kept, taken by its launch once, and given back by terminate', async () => {
  const host = await hostWith();
  const ids = ['a', 'b', 'c'].map((name) => ({ microvmId: `microvm-${name}`, buildId: host.buildId }));
  for (const id of ids) await host.node.reserve(id);
  await host.node.reserve({ microvmId: 'microvm-a', buildId: host.buildId });
  expect(committed(host)).toBe(1537);
  await expect(host.node.reserve({ microvmId: 'microvm-d', buildId: host.buildId })).rejects.toThrow(
    '463 MiB are free',
  );
  await expect(host.launch('d')).rejects.toMatchObject({ code: 'capacity_exhausted' });
  await host.launch('a');
  expect(committed(host)).toBe(1537);
  await host.node.terminate('microvm-b');
  await host.launch('d');
  expect(host.node.list().map(({ microvmId }) => microvmId)).toEqual(['microvm-a', 'microvm-d']);
});

test('a launch that finds no image gives its room back', async () => {
  const host = await hostWith();
  await host.node.reserve({ microvmId: 'microvm-a', buildId: host.buildId });
  await host.node.deleteImage(host.buildId);
  await expect(host.launch('a')).rejects.toMatchObject({ code: 'not_found' });
  expect(committed(host)).toBe(0);
});

test('no more VMs at once than there are network slots, known before one is waited for', async () => {
  const host = await hostWith({ maxRunning: 2 });
  await host.launch('a');
  await host.node.reserve({ microvmId: 'microvm-b', buildId: host.buildId });
  await expect(host.launch('c')).rejects.toThrow('This host runs 2 VMs at once, which is its limit.');
  await host.node.suspend('microvm-a');
  await host.launch('c');
});

test('a wake waits for room: it comes when another falls asleep, or not, and then it is refused', async () => {
  const host = await hostWith();
  await host.launch('sleeper');
  await host.node.suspend('microvm-sleeper');
  for (const name of ['a', 'b', 'c']) await host.launch(name);
  const wake = host.node.resume('microvm-sleeper');
  await waiting(host, 1);
  await host.clock.advance(14_000);
  await host.node.suspend('microvm-a');
  await wake;
  const refused = expect(host.node.resume('microvm-a')).rejects.toMatchObject({
    code: 'capacity_exhausted',
    message: expect.stringContaining('It waited 15 s for others to end or fall asleep.'),
  });
  await waiting(host, 1);
  await host.clock.advance(15_000);
  await refused;
  expect(host.node.list()).toContainEqual(expect.objectContaining({ microvmId: 'microvm-a', state: 'asleep' }));
});

test('after a restart nothing is committed but what wakes', async () => {
  const host = await hostWith();
  for (const name of ['a', 'b', 'c']) await host.launch(name);
  for (const name of ['a', 'b', 'c']) await host.node.suspend(`microvm-${name}`);
  await host.restart();
  expect(committed(host)).toBe(0);
  await host.node.resume('microvm-a');
  expect(committed(host)).toBe(513);
});

test('a disk that fills up stops launches and builds, then wakes, never sleep', async () => {
  const host = await hostWith({ diskReserveMib: 4000 });
  await host.launch('a');
  await host.launch('b');
  await host.node.suspend('microvm-b');
  host.disk.freeMib = 4000 + 512 + 511;
  await expect(host.launch('c')).rejects.toMatchObject({
    message:
      "This host's disk is too full for that: 5023 MiB are free, a launch leaves 4000 MiB untouched, and 1024 MiB are kept for putting to " +
      'sleep what runs. Terminate MicroVMs, delete files from the disk of the data directory, or lower --disk-reserve.',
  });
  await expect(host.build()).rejects.toMatchObject({
    code: 'build_failed',
    facts: { reason: 'DISK_STORAGE_FULL' },
    message: expect.stringMatching(
      /^DISK_STORAGE_FULL: This host's disk is too full for that: 5023 MiB are free, a build leaves 4000/,
    ),
  });
  await expect(host.node.checkBuild({ baselineMib: 512, memoryMib: 512 })).rejects.toThrow('too full');
  await host.node.resume('microvm-b');
  await host.node.suspend('microvm-b');
  host.disk.freeMib = 2000;
  await expect(host.node.resume('microvm-b')).rejects.toThrow('a wake leaves 2000 MiB untouched');
  host.disk.freeMib = 0;
  await host.node.suspend('microvm-a');
  expect(committed(host)).toBe(0);
});

test('a guest whose peak the host could never give is refused before its build and its launch', async () => {
  const host = await hostWith();
  const words = 'This host cannot hold the peak of that size: the guest sees 2001 MiB, and 2000 MiB are offered';
  await host.node.checkBuild({ baselineMib: 512, memoryMib: 2000 });
  await expect(host.node.checkBuild({ baselineMib: 512, memoryMib: 2001 })).rejects.toThrow(words);
  host.buildId = await host.build({ baselineMib: 512, memoryMib: 2001 });
  await expect(host.launch('peak')).rejects.toThrow(words);
  expect(committed(host)).toBe(0);
});

test('every VM gets its share of the processors, by its baseline', async () => {
  const host = await hostWith({ cpuBurst: 2, memoryMib: 10_000 });
  await host.launch('small');
  host.buildId = await host.build({ baselineMib: 2048, memoryMib: 4096, vcpus: 4 });
  await host.launch('large');
  await host.node.suspend('microvm-large');
  await host.node.resume('microvm-large');
  expect(host.driver.machines.map(({ cpu }) => cpu)).toEqual([
    { weight: 25, max: 0.5 },
    { weight: 100, max: 2 },
  ]);
});

test('a burst of one account does not delay the launch of another beyond its turn', async () => {
  const host = await hostWith({ memoryMib: 100_000 }, 1000);
  const done: string[] = [];
  const start = (name: string, account: string): Promise<unknown> =>
    host.launch(name, account).then(() => done.push(name));
  const all = Array.from({ length: 40 }, (_, i) => start(`burst${i}`, 'one'));
  await waiting(host, 38);
  all.push(start('single', 'two'));
  await waiting(host, 39);
  expect(done).toEqual([]);
  await pass(host, () => done.includes('single'));
  expect(done.length).toBeLessThan(6);
  await pass(host, () => done.length === 41);
  await Promise.all(all);
  expect(done).toHaveLength(41);
  expect(host.node.info().capacity.waiting).toBe(0);
});

test('closing the host refuses who waits for a turn, and ends who has one', async () => {
  const host = await hostWith({ memoryMib: 100_000, parallelLaunches: 1 }, 1000);
  const all = ['a', 'b', 'c'].map((name) =>
    host.launch(name).then(
      () => 'up',
      (error: { code: string }) => error.code,
    ),
  );
  await waiting(host, 2);
  await host.node.close();
  await host.clock.advance(1000);
  expect(await Promise.all(all)).toEqual(['aborted', 'aborted', 'aborted']);
  expect(host.driver.machines).toEqual([]);
});

test('a VM that the full disk has stopped is logged, cannot sleep, and goes on', async () => {
  const host = await hostWith();
  await host.launch('a');
  host.driver.machines[0]?.stall(true);
  expect(host.logged).toContain('microvm_waits_for_disk');
  await expect(host.node.suspend('microvm-a')).rejects.toMatchObject({ code: 'capacity_exhausted' });
  host.driver.machines[0]?.stall(false);
  expect(host.logged).toContain('microvm_goes_on');
  await host.node.suspend('microvm-a');
});
