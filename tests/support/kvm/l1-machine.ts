// A machine in which /dev/kvm works although its host has none: QEMU emulates AMD SVM. Runs one program and ends.
import { createWriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { run } from '../../../src/lib/process.ts';
import { qemuBinary } from '../../../src/vmm/qemu/host-engine.ts';
import { type L1Sources, l1Files } from './l1-files.ts';
import { newcArchive } from './newc-archive.ts';

export interface L1Options extends L1Sources {
  deadlineMs: number;
  /** Gets each line of the console as it comes. */
  onLine: (line: string) => void;
}

/** Boots the machine and resolves with its console when it has powered off; whatever happens, nothing of it is left. */
export async function runInL1(options: L1Options): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'waterbear-kvm-'));
  try {
    const initramfs = join(directory, 'initramfs');
    await pipeline(Readable.from(newcArchive(await l1Files(options))), createWriteStream(initramfs));
    const args = l1Arguments(join(options.tools, 'guest/vmlinuz'), initramfs);
    // `timeout` ends it even when this process is killed before it can.
    const limit = ['--signal=KILL', String(Math.ceil(options.deadlineMs / 1000) + 5)];
    const { stdout } = await run('timeout', [...limit, qemuBinary, ...args], {
      timeoutMs: options.deadlineMs,
      onOutput: lines(options.onLine),
    });
    return stdout;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function l1Arguments(kernel: string, initramfs: string): string[] {
  return [
    ...['-machine', 'q35,usb=off,smbus=off,vmport=off,sata=off', '-accel', 'tcg,tb-size=256', '-cpu', 'EPYC'],
    ...['-smp', '1', '-m', '1280M', '-nodefaults', '-no-user-config', '-nographic', '-no-reboot', '-serial', 'stdio'],
    ...['-kernel', kernel, '-initrd', initramfs],
    ...['-append', 'console=ttyS0 loglevel=1 panic=-1 tsc=reliable edd=off mitigations=off'],
  ];
}

function lines(onLine: (line: string) => void): (chunk: Buffer) => void {
  let rest = '';
  return (chunk) => {
    const parts = (rest + chunk.toString('utf8')).split(/\r?\n/);
    rest = parts.pop() ?? '';
    for (const line of parts) onLine(line);
  };
}
