// From the guest kernel to an agent that answers: how images begin, and throw-away VMs.
import { join } from 'node:path';
import { describe, Fault, isFault } from '../../lib/errors.ts';
import { printable } from '../../lib/printable.ts';
import type { Stopwatch } from '../../lib/stopwatch.ts';
import type { BootOrder, ThrowawayOrder } from '../driver.ts';
import { GuestClient } from '../guest-client.ts';
import { verifyToolkit } from '../toolkit-checksums.ts';
import { checkClockRate } from './clock-rate.ts';
import type { DiskLayer } from './machine-shape.ts';
import type { Manifest } from './manifest.ts';
import { createMemoryFile, type MemoryFile } from './memfd.ts';
import type { MachineParts } from './qemu-machine.ts';
import { startVmm, type VmmPlan, type VmmProcess } from './vmm-process.ts';
import { removeRunDirectory } from './vmm-record.ts';

const kernelArguments = 'console=ttyS0 quiet panic=-1 tsc=reliable';
const guestFiles = { kernel: 'vmlinuz', initramfs: 'initramfs' } as const;
const consoleCharacters = 2_000;

/** A VM whose agent answers, and what else is needed to make it a `Machine`. */
export type ColdBoot = Omit<MachineParts, 'imageSaver'> & { memory: MemoryFile; hello: Manifest['guest'] };

export interface BootTools {
  /** Guest kernel, initramfs and its release, as set-up makes them. */
  guestDirectory: string;
  /** `launch` and `seal`, as set-up makes them. */
  toolDirectory: string;
  /** How long a boot may take until the agent answers; default 120 s. */
  bootDeadlineMs?: number;
}

export interface BootParts {
  plan: VmmPlan;
  layers: DiskLayer[];
  translationMib?: number;
}

/**
 * Boots. Once in some hundred times under emulation a guest stands still before its agent speaks, or its clock runs wrong: it gets a second attempt, with
 * the whole time. Rejects with `guest_failed`, or `toolkit_damaged` before anything starts; nothing is left then.
 */
export async function coldBoot(
  tools: BootTools,
  order: BootOrder | ThrowawayOrder,
  parts: BootParts,
  stopwatch: Stopwatch,
): Promise<ColdBoot> {
  const limitMs = tools.bootDeadlineMs ?? 120_000;
  await verifyToolkit(tools.guestDirectory, [guestFiles.kernel, guestFiles.initramfs]);
  try {
    return await attempt(tools, order, parts, stopwatch, limitMs / 3);
  } catch (error) {
    if (!isFault(error, 'guest_failed') || !isFault(error.cause, 'deadline_exceeded', 'guest_failed')) throw error;
    stopwatch.lap('stuck');
    return attempt(tools, order, parts, stopwatch, limitMs);
  }
}

async function attempt(
  { guestDirectory, toolDirectory }: BootTools,
  { size, runDirectory, signal, wire, onConsole }: BootOrder | ThrowawayOrder,
  { plan, ...disks }: BootParts,
  stopwatch: Stopwatch,
  helloMs: number,
): Promise<ColdBoot> {
  const bytes = size.memoryMib * 1024 * 1024;
  const memory = await createMemoryFile(join(toolDirectory, 'seal'), 'wb-boot', bytes, { sealed: false });
  const kernel = {
    image: join(guestDirectory, guestFiles.kernel),
    initramfs: join(guestDirectory, guestFiles.initramfs),
    arguments: kernelArguments,
  };
  let process: VmmProcess | undefined;
  const release = async (): Promise<void> => {
    memory.close();
    await removeRunDirectory(runDirectory);
  };
  try {
    const memoryFd = memory.fd;
    process = await startVmm({ ...plan, ...disks, size, kernel, memoryFd, shareMemory: true }, signal);
    stopwatch.lap('spawn');
    const guest = new GuestClient(process.control, wire);
    await process.qmp.execute('cont');
    const { elapsedMs: _, ...hello } = await guest.hello(helloMs);
    stopwatch.lap('boot');
    await checkClockRate(async () => (await guest.hello(helloMs)).elapsedMs ?? 0);
    stopwatch.lap('clock');
    const stages = stopwatch.stages();
    return { memory, hello, process, guest, stages, repaired: [], onConsole, suspendSaver: undefined, release };
  } catch (error) {
    const said = process && (await lastSigns(process));
    await process?.kill();
    await release();
    if (signal?.aborted) throw new Fault('aborted', { what: 'Starting a VM' }, error);
    if (!isFault(error, 'guest_failed', 'deadline_exceeded')) throw error;
    throw new Fault('guest_failed', { what: `did not boot (${describe(error)}). ${said}` }, error);
  }
}

/** What a guest that does not come up has to say, as long as nobody reads its console, and where its processors are. */
async function lastSigns(process: VmmProcess): Promise<string> {
  const bytes: Buffer | null | undefined = process.console.read();
  const said = printable(bytes?.toString('utf8') ?? '')
    .trim()
    .slice(-consoleCharacters);
  const command = { 'command-line': 'info registers -a' };
  const registers = await process.qmp.execute('human-monitor-command', command).catch(() => '');
  const places = [...String(registers).matchAll(/[ER]IP=[0-9a-f]+|HLT=\d/g)].join(' ');
  return `Its console: ${said || 'nothing'}. Its processors: ${places || 'unknown'}.`;
}
