// What this host can run: QEMU's version, the accelerator, the processor. Recorded in every snapshot.
import { createHash } from 'node:crypto';
import { access, constants, readFile } from 'node:fs/promises';
import { Fault } from '../../lib/errors.ts';
import { run } from '../../lib/process.ts';
import type { Accelerator } from '../driver.ts';
import { cpuModels, machineTypes } from './machine-shape.ts';
import type { EngineRecord } from './manifest.ts';

export const qemuBinary = '/usr/bin/qemu-system-x86_64';

/** `auto` takes KVM when this process may open it. */
export async function chooseAccelerator(wanted: Accelerator | 'auto'): Promise<Accelerator> {
  if (wanted !== 'auto') return wanted;
  return access('/dev/kvm', constants.R_OK | constants.W_OK).then(
    () => 'kvm',
    () => 'tcg',
  );
}

/** Vendor, model and features of the processor: what `-cpu host` depends on. */
async function hostProcessor(): Promise<string> {
  const text = await readFile('/proc/cpuinfo', 'utf8');
  const field = (name: string): string => new RegExp(`^${name}\\s*: (.*)$`, 'm').exec(text)?.[1] ?? '';
  const identity = [field('vendor_id'), field('cpu family'), field('model'), field('flags')].join('|');
  return `${field('model name')} ${createHash('sha256').update(identity).digest('hex').slice(0, 12)}`;
}

/** The engine record by kind of network. Rejects with `missing_tool` when QEMU is not installed. */
export async function describeEngine(
  accelerator: Accelerator,
): Promise<(network: EngineRecord['network']) => EngineRecord> {
  if (process.arch !== 'x64') {
    throw new Fault('missing_right', {
      what: 'The qemu driver',
      right: 'an x86-64 host',
      next: 'Use --driver fake on this machine.',
    });
  }
  const { stdout } = await run(qemuBinary, ['--version']);
  const qemu = /version (\S+)/.exec(stdout)?.[1] ?? 'unknown';
  const cpu = accelerator === 'kvm' ? `${cpuModels.kvm} ${await hostProcessor()}` : cpuModels.tcg;
  return (network) => ({ driver: 'qemu', qemu, accelerator, machine: machineTypes[accelerator], cpu, network });
}
