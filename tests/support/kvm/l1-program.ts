// Runs inside the emulated machine: takes a VM through its whole life with the real driver under KVM, and reports what it saw.
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { systemClock } from '../../../src/lib/clock.ts';
import { isFault } from '../../../src/lib/errors.ts';
import { openSealed } from '../../../src/lib/sealed-json.ts';
import type { Driver, Machine, RestoreOrder } from '../../../src/vmm/driver.ts';
import { createQemuDriver } from '../../../src/vmm/qemu/qemu-driver.ts';
import { mountsOf, statusOf } from '../process-facts.ts';
import { type JailFacts, type KvmReport, type Life, reportMark, stageMark } from './report.ts';
import { TickReader } from './tick-reader.ts';

const image = '/tmp/image';
const asleep = '/tmp/asleep';
const sleptSeconds = 3600;
/** More than this machine has: the limit is to be seen, not felt. */
const cpu = { weight: 50, max: 2.5 };
const stage = (text: string): void => console.log(`${stageMark}${performance.now().toFixed(0)} ms ${text}`);

/** A VM and what is known of it. */
interface Watched {
  machine: Machine;
  ticks: TickReader;
  kvmObjects: string[];
  jail: JailFacts;
}

async function jailOf(pid: number): Promise<JailFacts> {
  const cgroup = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split(':')[2] ?? '';
  const files = ['memory.max', 'pids.max', 'cpu.max', 'cpu.max.burst', 'cpu.weight'];
  const limits = files.map((name) => [name, readFileSync(`/sys/fs/cgroup${cgroup}/${name}`, 'utf8').trim()] as const);
  const root = readdirSync(`/proc/${pid}/root`).sort();
  return {
    cgroup,
    limits: Object.fromEntries(limits),
    mounts: await mountsOf(pid),
    root,
    status: await statusOf(pid),
  };
}

async function watch(machine: Machine, ticks: TickReader): Promise<Watched> {
  const links = readdirSync(`/proc/${machine.pid}/fd`).map((fd) => readlinkSync(`/proc/${machine.pid}/fd/${fd}`));
  return { machine, ticks, kvmObjects: links.filter((link) => link.includes('kvm')), jail: await jailOf(machine.pid) };
}

function lifeOf({ machine, ticks, kvmObjects, jail }: Watched, endStages: Record<string, number>): Life {
  return { repaired: machine.repaired, stages: machine.stages, kvmObjects, jail, ticks: ticks.ticks, endStages };
}

async function boot(driver: Driver): Promise<Watched> {
  const ticks = new TickReader();
  mkdirSync(image);
  const machine = await driver.boot({
    runDirectory: '/run/boot',
    image,
    size: { memoryMib: 256, vcpus: 1 },
    cpu,
    rootDisk: '',
    onConsole: (text) => ticks.take(text),
  });
  stage(`booted ${JSON.stringify(machine.stages)}`);
  await machine.guest.start({
    argv: ['/counter.sh'],
    environment: { PATH: '/bin' },
    workingDirectory: '/',
    user: '',
    allCapabilities: false,
  });
  await ticks.atLeast(3);
  return watch(machine, ticks);
}

function order(name: string, ticks: TickReader, snapshot?: string): RestoreOrder {
  return {
    runDirectory: `/run/${name}`,
    image,
    disks: `/tmp/disks-${name}`,
    cpu,
    ...(snapshot === undefined ? {} : { snapshot }),
    freshness: { machineId: 'a'.repeat(32), bootId: '01234567-89ab-cdef-0123-456789abcdef', hostname: name },
    onConsole: (text) => ticks.take(text),
  };
}

async function restore(driver: Driver, name: string, snapshot?: string): Promise<Watched> {
  const ticks = new TickReader();
  const machine = await driver.restore(order(name, ticks, snapshot));
  stage(`restored ${name} ${JSON.stringify(machine.stages)}`);
  return watch(machine, ticks);
}

/** Flips one bit in a copy of the delta and tells the code of the refusal. */
async function wakeDamaged(driver: Driver): Promise<string> {
  const damaged = '/tmp/damaged';
  cpSync(asleep, damaged, { recursive: true });
  const bytes = readFileSync(`${damaged}/memory.pages`);
  const middle = bytes.length >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  writeFileSync(`${damaged}/memory.pages`, bytes);
  try {
    const machine = await driver.restore(order('damaged', new TickReader(), damaged));
    await machine.kill();
    return 'it was loaded';
  } catch (error) {
    return isFault(error) ? error.code : String(error);
  }
}

const engineOf = (directory: string): KvmReport['image'] =>
  JSON.parse(openSealed(readFileSync(`${directory}/manifest.json`, 'utf8'))).engine;

const memoryFiles = (): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('/memfd:wb');
    } catch {
      return false;
    }
  }).length;

async function main(): Promise<KvmReport> {
  const driver = await createQemuDriver({
    accelerator: 'kvm',
    guestDirectory: '/wb/guest',
    toolDirectory: '/wb/bin',
    instance: 'kvm',
    clock: systemClock,
  });
  stage('driver ready');
  const booting = await boot(driver);
  const saved = await booting.machine.saveImage();
  const booted = lifeOf(booting, saved.stages);
  stage(`image ${JSON.stringify(saved)}`);

  const one = await restore(driver, 'first');
  const two = await restore(driver, 'second');
  await Promise.all([one, two].map(({ ticks }) => ticks.atLeast(3)));
  await two.machine.kill();
  const second = lifeOf(two, {});
  const slept = await one.machine.suspend(asleep);
  const first = lifeOf(one, slept.stages);
  stage(`asleep ${JSON.stringify(slept)}`);

  // An hour passes.
  execFileSync('date', ['-s', `@${Math.floor(Date.now() / 1000) + sleptSeconds}`], { stdio: 'ignore' });
  const damaged = await wakeDamaged(driver);
  stage(`damaged delta: ${damaged}`);
  const three = await restore(driver, 'first', asleep);
  await three.ticks.atLeast(5);
  await three.machine.kill();
  const woken = lifeOf(three, {});
  await driver[Symbol.asyncDispose]();
  return {
    accelerator: driver.accelerator,
    lives: { booted, first, second, woken },
    image: engineOf(image),
    snapshot: engineOf(asleep),
    snapshotBytes: slept.bytes,
    damaged,
    sleptSeconds,
    memoryFilesLeft: memoryFiles(),
    groupsLeft: readdirSync('/sys/fs/cgroup').filter((name) => name.startsWith('waterbear-')),
  };
}

const report = await main();
stage('done');
console.log(`${reportMark}${JSON.stringify(report)}`);
