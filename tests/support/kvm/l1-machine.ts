// A machine in which /dev/kvm works although its host has none: QEMU emulates AMD SVM. Runs one program and ends.
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, Fault } from '../../../src/lib/errors.ts';
import { run } from '../../../src/lib/process.ts';
import { type Stopwatch, startStopwatch } from '../../../src/lib/stopwatch.ts';
import { qemuBinary } from '../../../src/vmm/qemu/host-engine.ts';
import { type L1Sources, l1Files } from './l1-files.ts';
import { newcArchive } from './newc-archive.ts';

const shownConsoleCharacters = 8_000;

export interface L1Run {
  console: string;
  stages: ReturnType<Stopwatch['stages']>;
}

/**
 * Boots the machine and resolves when it has powered off, its program having ended well. Otherwise rejects with what stood on
 * its console. Nothing of it is left either way.
 */
export async function runInL1(sources: L1Sources, deadlineMs: number): Promise<L1Run> {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-kvm-'));
  const initramfs = join(directory, 'initramfs');
  const consoleFile = join(directory, 'console');
  const stopwatch = startStopwatch();
  try {
    await pipeline(Readable.from(newcArchive(await l1Files(sources))), createWriteStream(initramfs));
    stopwatch.lap('collect');
    const args = l1Arguments(join(sources.tools, 'guest/vmlinuz'), initramfs, consoleFile);
    // `timeout` ends it even when this process is killed before it can.
    const limit = ['--signal=KILL', String(Math.ceil(deadlineMs / 1000) + 5)];
    await run('timeout', [...limit, qemuBinary, ...args], { timeoutMs: deadlineMs }).catch(async (cause: unknown) => {
      throw l1Failed(describe(cause), await readFile(consoleFile, 'utf8').catch(() => ''));
    });
    stopwatch.lap('run');
    const text = (await readFile(consoleFile, 'utf8')).replaceAll('\r', '');
    if (!text.includes('\nL1-EXIT 0\n')) throw l1Failed('its program failed', text);
    return { console: text, stages: stopwatch.stages() };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function l1Failed(why: string, text: string): Fault {
  return new Fault('internal', { what: `The emulated machine: ${why}\n${text.slice(-shownConsoleCharacters)}` });
}

/**
 * The console is a file: QEMU drops characters when a pipe is full. The CPU model stays whole: without AVX (slow to emulate)
 * signals break the programs of the inner VM.
 */
function l1Arguments(kernel: string, initramfs: string, consoleFile: string): string[] {
  return [
    ...['-machine', 'q35,usb=off,smbus=off,vmport=off,sata=off', '-accel', 'tcg,tb-size=256', '-cpu', 'EPYC'],
    ...['-smp', '1', '-m', '1280M', '-nodefaults', '-no-user-config', '-nographic', '-no-reboot'],
    ...['-serial', `file:${consoleFile}`, '-kernel', kernel, '-initrd', initramfs],
    ...['-append', 'console=ttyS0 loglevel=1 panic=-1 tsc=reliable edd=off mitigations=off'],
  ];
}
