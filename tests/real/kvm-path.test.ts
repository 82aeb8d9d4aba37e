// The KVM path of the QEMU driver, on any host: a whole VM life inside an emulated machine that has KVM (tests/support/kvm).
// This machine's own /dev/kvm is not touched.
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { deviceRevision, machineTypes } from '../../src/vmm/qemu/machine-shape.ts';
import { l1Files } from '../support/kvm/l1-files.ts';
import { runInL1 } from '../support/kvm/l1-machine.ts';
import { type KvmReport, type Life, reportMark, reportSchema, stageMark, type Tick } from '../support/kvm/report.ts';

const repository = join(import.meta.dirname, '../..');
const deadlineMs = 170_000;
const everythingRepaired = ['boot-id', 'clock', 'entropy', 'hostname', 'machine-id', 'sockets'];
/** One tick is 0.2 s of sleep and a few processes, under two emulations and whatever else this machine does. */
const usualTickSeconds = 2;
const slowestTickSeconds = 15;
const clockToleranceSeconds = 4;

let report: KvmReport;

const numbers = (life: Life): number[] => life.ticks.map((tick) => tick.number);
const firstTick = (life: Life): Tick => life.ticks[0] ?? expect.fail('a VM without ticks');
/** Of the first tick that began in this life: the one before may have been under way when it was frozen. */
const drawOf = (life: Life): string => life.ticks[1]?.draw ?? expect.fail('a VM with one tick only');
const lastTick = (life: Life): Tick => life.ticks.at(-1) ?? expect.fail('a VM without ticks');
const countedFrom = (start: number, life: Life): number[] => life.ticks.map((_, i) => start + i);

describe('a VM under KVM, without disk and network', () => {
  beforeAll(async () => {
    const { console: text, stages } = await runInL1({ repository, tools: join(repository, '.waterbear') }, deadlineMs);
    const lines = text.split('\n');
    for (const line of lines) if (line.startsWith(stageMark)) console.log(line.slice(stageMark.length));
    console.log(`collected files in ${stages.collect} ms, ran for ${stages.run} ms`);
    const line = lines.find((candidate) => candidate.startsWith(reportMark)) ?? '';
    report = reportSchema.parse(JSON.parse(line.slice(reportMark.length)));
  }, deadlineMs + 10_000);

  test('really runs under KVM', () => {
    expect(report.accelerator).toBe('kvm');
    for (const { kvmObjects } of Object.values(report.lives)) {
      expect(kvmObjects).toContain('anon_inode:kvm-vm');
      expect(kvmObjects).toContain('anon_inode:kvm-vcpu:0');
    }
  });

  test('its image and its snapshot say what they need', () => {
    expect(report.image).toMatchObject({ accelerator: 'kvm', network: 'none' });
    expect(report.image.machine).toBe(`${machineTypes.kvm};devices=${deviceRevision}`);
    expect(report.image.cpu).toMatch(/^host .+ [0-9a-f]{12}$/);
    expect(report.snapshot).toEqual(report.image);
  });

  test('every launch from the image goes on where the image stands', () => {
    const { booted, first, second } = report.lives;
    const next = lastTick(booted).number + 1;
    expect(numbers(booted)).toEqual(countedFrom(1, booted));
    expect(numbers(first)).toEqual(countedFrom(next, first));
    expect(numbers(second)).toEqual(countedFrom(next, second));
  });

  test('what slept goes on where it fell asleep', () => {
    const { first, woken } = report.lives;
    expect(numbers(woken)).toEqual(countedFrom(lastTick(first).number + 1, woken));
  });

  test('memory is intact in every life', () => {
    for (const { ticks } of Object.values(report.lives))
      expect(new Set(ticks.map((tick) => tick.memory))).toEqual(new Set(['good']));
  });

  test('is fresh: every launch has its own name and randomness, and keeps them in its sleep', () => {
    const { booted, first, second, woken } = report.lives;
    expect(booted.repaired).toEqual([]);
    for (const life of [first, second]) expect([...life.repaired].sort()).toEqual(everythingRepaired);
    // It wakes as who it was.
    expect([...woken.repaired].sort()).toEqual(['clock', 'entropy', 'sockets']);
    expect(new Set(first.ticks.slice(1).map((tick) => tick.host))).toEqual(new Set(['first']));
    expect(new Set(second.ticks.slice(1).map((tick) => tick.host))).toEqual(new Set(['second']));
    expect(drawOf(first)).not.toBe(drawOf(second));
    expect(new Set(woken.ticks.map((tick) => tick.draw))).toEqual(new Set([drawOf(first)]));
  });

  test('its wall clock is right from the first tick after an hour of sleep', () => {
    const { first, woken } = report.lives;
    expect(firstTick(woken).wallSeconds - lastTick(first).wallSeconds).toBeGreaterThan(report.sleptSeconds - 1);
    for (const tick of [...first.ticks, ...woken.ticks])
      expect(Math.abs(tick.wallSeconds - tick.cameMs / 1000)).toBeLessThan(clockToleranceSeconds);
  });

  test('its timers keep their pace, and do not notice the sleep', () => {
    const { booted, first, woken } = report.lives;
    const times = [...booted.ticks, ...first.ticks, ...woken.ticks].map((tick) => tick.uptimeSeconds);
    const gaps = times
      .slice(1)
      .map((time, i) => time - (times[i] ?? 0))
      .sort((a, b) => a - b);
    expect(gaps[0]).toBeGreaterThan(0.19);
    expect(gaps[gaps.length >> 1]).toBeLessThan(usualTickSeconds);
    expect(gaps.at(-1)).toBeLessThan(slowestTickSeconds);
  });

  test('falls asleep with only what it wrote', () => {
    expect(report.snapshotBytes).toBeGreaterThan(1 << 20);
    expect(report.snapshotBytes).toBeLessThan(16 << 20);
  });

  test('a damaged delta is refused', () => {
    expect(report.damaged).toBe('snapshot_corrupt');
  });

  test('no memory file and no cgroup outlives the driver', () => {
    expect(report.memoryFilesLeft).toBe(0);
    expect(report.groupsLeft).toEqual([]);
  });

  test('every VMM is in a cgroup of version 2 with its limits', () => {
    const groups = Object.values(report.lives).map(({ jail }) => jail.cgroup);
    expect(new Set(groups).size).toBe(groups.length);
    for (const { jail } of Object.values(report.lives)) {
      expect(jail.cgroup).toMatch(/^\/waterbear-kvm\/(boot|first|second)-[0-9a-f]{8}$/);
      expect(jail.limits).toEqual({
        'memory.max': String((2 * 256 + 256) << 20),
        'pids.max': '81',
        'cpu.max': '250000 100000',
        'cpu.max.burst': '250000',
        'cpu.weight': '50',
      });
    }
  });

  test('every VMM is jailed, also where the host runs from an initramfs; of the devices it has /dev/kvm', () => {
    for (const [name, { jail }] of Object.entries(report.lives)) {
      const run = { booted: 'boot', first: 'first', second: 'second', woken: 'first' }[name];
      expect(jail.mounts).toEqual([
        '/ ro,nosuid,nodev,noexec tmpfs',
        '/dev/kvm rw,nosuid,noexec host',
        '/lib/x86_64-linux-gnu ro,nosuid,nodev host',
        '/lib64 ro,nosuid,nodev host',
        '/proc ro,nosuid,nodev,noexec proc',
        `/run/${run} rw,nosuid,nodev,noexec tmpfs`,
        '/usr/bin/qemu-system-x86_64 ro,nosuid,nodev host',
        '/usr/share/qemu ro,nosuid,nodev host',
      ]);
      expect(jail.root).toEqual(['dev', 'lib', 'lib64', 'proc', 'run', 'usr']);
      expect(jail.status).toMatchObject({ CapBnd: '0000000000000000', NoNewPrivs: '1', Seccomp: '2', Groups: '' });
      expect(jail.status.Uid?.split(' ')).toEqual(['65534', '65534', '65534', '65534']);
    }
  });
});

test('a machine that is not set up is told how', async () => {
  const tools = join(repository, '.waterbear/no-such-directory');
  await expect(l1Files({ repository, tools })).rejects.toThrow('npm run setup');
});
