// VMs of one image that other processes hold, so that these can be killed as a server is; the slots and the drivers that come after are the test's own.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { systemClock } from '../../src/lib/clock.ts';
import { within } from '../../src/lib/deadline.ts';
import type { Slot, SlotPool } from '../../src/net/slot.ts';
import { createSlotPool } from '../../src/net/slot-pool.ts';
import { instanceOf } from '../../src/node/layout.ts';
import type { AdoptOrder, Driver, RestoreOrder } from '../../src/vmm/driver.ts';
import { newFreshness } from '../../src/vmm/freshness.ts';
import { createQemuDriver } from '../../src/vmm/qemu/qemu-driver.ts';
import { buildOrder, projectZip, startRealNode, toolkitDirectory } from './real-node.ts';
import type { HolderOrder } from './vm-holder.ts';

const stepDeadlineMs = 120_000;

export interface Holder {
  process: ChildProcess;
  /** Resolves when it has printed this line. */
  said(line: string): Promise<void>;
  tell(line: string): void;
  /** SIGKILL. */
  crash(): Promise<void>;
}

/** Where one VM is and what it is wired to. */
export interface HeldVm {
  order: RestoreOrder;
  slot: Slot;
  adoption: AdoptOrder;
  snapshot(generation: number): string;
}

export interface HeldVms {
  runRoot: string;
  /** Of the instance that the holders' drivers have. */
  driver(): Promise<Driver>;
  place(name: string): Promise<HeldVm>;
  hold(vm: HeldVm): Holder;
  /** Ends all of them. */
  sweep(): Promise<void>;
  close(): Promise<void>;
}

export async function openHeldVms(app: string): Promise<HeldVms> {
  const host = await startRealNode();
  const archive = join(host.directory, 'app.zip');
  await writeFile(archive, await projectZip(app));
  const build = buildOrder(archive);
  await host.node.build(build, () => {});
  await host.node.close();
  const image = join(host.directory, 'images', build.buildId);
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-held-'));
  const instance = instanceOf(directory);
  const runRoot = `/run/waterbear-${instance}`;
  await mkdir(runRoot, { mode: 0o711 });
  const slots: SlotPool = await createSlotPool({ instance, max: 32, tapOwner: (index) => 1_900_000 + index });
  const at = (name: string): string => join(toolkitDirectory, name);
  const options = { accelerator: 'tcg', guestDirectory: at('guest'), toolDirectory: at('bin'), instance } as const;
  const drivers: Driver[] = [];
  const holders: Holder[] = [];
  const taken: Slot[] = [];
  const newDriver = (): Promise<Driver> => createQemuDriver({ ...options, clock: systemClock });
  const sweep = async (): Promise<void> => {
    for (const holder of holders) await holder.crash();
    await using sweeper = await newDriver();
    await sweeper.sweep(runRoot, new Set());
  };
  return {
    runRoot,
    sweep,
    async driver() {
      const driver = await newDriver();
      drivers.push(driver);
      return driver;
    },
    async place(name) {
      const slot = await slots.acquire();
      taken.push(slot);
      const { namespace, tap, guestMac, relay, uid } = slot;
      const wire = { namespace, tap, guestMac, relay, uid };
      await mkdir(join(directory, name));
      const where = { runDirectory: join(runRoot, name), image, disks: join(directory, name, 'disk'), wire };
      const order = { ...where, freshness: newFreshness(name) };
      return { order, slot, adoption: where, snapshot: (generation) => join(directory, name, `sleep-${generation}`) };
    },
    hold(vm) {
      const holder = startHolder({ driver: options, restore: vm.order });
      holders.push(holder);
      return holder;
    },
    async close() {
      await sweep();
      for (const driver of drivers) await driver[Symbol.asyncDispose]();
      for (const slot of taken) await slot.release();
      await slots[Symbol.asyncDispose]();
      for (const path of [runRoot, directory, host.directory]) await rm(path, { recursive: true, force: true });
    },
  };
}

function startHolder(order: HolderOrder): Holder {
  const script = join(import.meta.dirname, 'vm-holder.ts');
  const child = spawn(process.execPath, [script, JSON.stringify(order)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const lines: string[] = [];
  const heard = new Map<string, () => void>();
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    heard.get(line)?.();
  });
  child.stdin.on('error', () => {});
  return {
    process: child,
    said: (line) =>
      within(
        stepDeadlineMs,
        `The holder's "${line}"`,
        new Promise((resolve, reject) => {
          if (lines.includes(line)) return resolve();
          heard.set(line, resolve);
          void gone.then(() => reject(new Error(`the holder ended before it said ${line}`)));
        }),
      ),
    tell: (line) => void child.stdin.write(`${line}\n`),
    crash() {
      child.kill('SIGKILL');
      return gone;
    },
  };
}
