// The floor: what raw QEMU needs to launch, suspend and wake the same application from the same root disk, kernel, memory size and CPU model.
// The method is that of the prototype the design was proved with; no product code runs, so its numbers are the limit to compare with.
import { execFileSync } from 'node:child_process';
import { closeSync, copyFileSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { GuestClient } from '../src/vmm/guest-client.ts';
import { FloorVm } from './floor-vm.ts';

const page = 4096;

export interface FloorOptions {
  /** Empty directory. */
  directory: string;
  /** Image as the product keeps it: its root disk is used. */
  image: string;
  guestDirectory: string;
  memoryMib: number;
  requests: number;
  /** Loopback ports from here on are used. */
  port: number;
}

/** Milliseconds and bytes of one run. */
export interface Run {
  launch: number;
  suspend: number;
  wake: number;
  asleepBytes: number;
}

/** Writes the private pages of a stopped VM: {first page, count, data} one after another. */
function saveDelta(pid: number, memoryFile: string, out: string): void {
  const [low = 0, high = 0] = (
    readFileSync(`/proc/${pid}/maps`, 'utf8')
      .split('\n')
      .find((line) => line.endsWith(memoryFile))
      ?.split(' ')[0] ?? ''
  )
    .split('-')
    .map((hex) => Number.parseInt(hex, 16));
  const pages = (high - low) / page;
  const entries = Buffer.alloc(pages * 8);
  const pagemap = openSync(`/proc/${pid}/pagemap`, 'r');
  readSync(pagemap, entries, 0, entries.length, (low / page) * 8);
  closeSync(pagemap);
  const words = new Uint32Array(entries.buffer, entries.byteOffset, pages * 2);
  const dirty = (i: number): boolean =>
    ((words[i * 2 + 1] ?? 0) & 0xc0000000) !== 0 && ((words[i * 2 + 1] ?? 0) & 0x20000000) === 0;
  const memory = openSync(`/proc/${pid}/mem`, 'r');
  const file = openSync(out, 'w');
  for (let i = 0; i < pages; ) {
    if (!dirty(i)) {
      i++;
      continue;
    }
    let j = i;
    while (j < pages && dirty(j)) j++;
    const run = Buffer.alloc(16 + (j - i) * page);
    run.writeBigUInt64LE(BigInt(i), 0);
    run.writeBigUInt64LE(BigInt(j - i), 8);
    readSync(memory, run, 16, run.length - 16, low + i * page);
    writeSync(file, run);
    i = j;
  }
  closeSync(memory);
  closeSync(file);
}

function applyDelta(pid: number, memoryFile: string, path: string): void {
  const line =
    readFileSync(`/proc/${pid}/maps`, 'utf8')
      .split('\n')
      .find((text) => text.endsWith(memoryFile)) ?? '';
  const low = Number.parseInt(line.split('-')[0] ?? '', 16);
  const delta = readFileSync(path);
  const memory = openSync(`/proc/${pid}/mem`, 'r+');
  for (let at = 0; at < delta.length; ) {
    const [first, count] = [Number(delta.readBigUInt64LE(at)), Number(delta.readBigUInt64LE(at + 8))];
    writeSync(memory, delta, at + 16, count * page, low + first * page);
    at += 16 + count * page;
  }
  closeSync(memory);
}

/** Boots and saves the base; each call of what it resolves with is one run. */
export async function openFloor(options: FloorOptions): Promise<() => Promise<Run>> {
  const { directory, guestDirectory, memoryMib, requests } = options;
  let { port } = options;
  const at = (name: string): string => join(directory, name);
  const base = { directory, guestDirectory, memoryMib };
  const create = (path: string, backing: string): void => {
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', '-b', backing, '-F', 'qcow2', path]);
  };
  create(at('base.qcow2'), join(options.image, 'root.qcow2'));
  const first = await FloorVm.start({ ...base, disk: at('base.qcow2'), port, share: 'on', incoming: false });
  const guest = new GuestClient(await first.control(), undefined);
  await guest.hello(120_000);
  const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
  const argv = ['python3', '/app.py'];
  await guest.start({ argv, environment, workingDirectory: '/', user: '', allCapabilities: false });
  // The same warm-up at the same moment as the product's build.
  while (!(await guest.listening(8080))) await new Promise((resolve) => setTimeout(resolve, 100));
  await guest.hook(8080, 'ready', undefined, 60_000);
  guest.close();
  await first.qmp.execute('stop');
  await first.qmp.execute('xen-save-devices-state', { filename: at('base.state'), live: false });
  await first.end();
  create(at('empty.qcow2'), at('base.qcow2'));
  return () => {
    copyFileSync(at('empty.qcow2'), at('vm.qcow2'));
    port += 2;
    return oneRun({ ...base, disk: at('vm.qcow2'), port, share: 'off', incoming: true }, requests);
  };
}

async function oneRun(plan: FloorVm['plan'], requests: number): Promise<Run> {
  const at = (name: string): string => join(plan.directory, name);
  const vm = await FloorVm.start(plan);
  await vm.load(at('base.state'));
  await vm.firstAnswer();
  const launch = performance.now() - vm.startedMs;
  let last = '';
  for (let i = 0; i < requests; i++) last = await vm.ask();
  const started = performance.now();
  await vm.qmp.execute('stop');
  await vm.qmp.execute('xen-save-devices-state', { filename: at('vm.state'), live: false });
  saveDelta(vm.pid, at('base.mem'), at('vm.delta'));
  const suspend = performance.now() - started;
  await vm.end();
  const kept = ['vm.delta', 'vm.state', 'vm.qcow2'];
  const asleepBytes = kept.reduce((sum, name) => sum + statSync(at(name)).blocks * 512, 0);
  const again = await FloorVm.start({ ...plan, port: plan.port + 1 });
  applyDelta(again.pid, at('base.mem'), at('vm.delta'));
  await again.load(at('vm.state'));
  const answer = await again.firstAnswer();
  const wake = performance.now() - again.startedMs;
  await again.end();
  if (!(Number.parseInt(answer, 10) > Number.parseInt(last, 10)))
    throw new Error(`The floor lost its memory: ${last} then ${answer}`);
  return { launch, suspend, wake, asleepBytes };
}
