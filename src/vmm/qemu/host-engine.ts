// What this host can run: QEMU's version, the accelerator, the processor. Recorded in every snapshot.
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { Fault } from '../../lib/errors.ts';
import { run } from '../../lib/process.ts';
import type { Accelerator } from '../driver.ts';
import { cpuModels, deviceRevision, machineTypes } from './machine-shape.ts';
import type { EngineRecord } from './manifest.ts';

export const qemuBinary = '/usr/bin/qemu-system-x86_64';

export interface ChosenAccelerator {
  accelerator: Accelerator;
  /** Group that may open /dev/kvm; VMMs get it beside their own user. */
  kvmGroup?: number;
}

/**
 * `auto` takes KVM when the processor can virtualize and a group may open /dev/kvm; the device alone means nothing where this machine is
 * itself a VM without nesting. Rejects with `missing_right` when KVM is wanted and cannot be had.
 */
export async function chooseAccelerator(wanted: Accelerator | 'auto'): Promise<ChosenAccelerator> {
  if (wanted === 'tcg') return { accelerator: 'tcg' };
  const refusal = await kvmRefusal();
  if (typeof refusal === 'number') return { accelerator: 'kvm', kvmGroup: refusal };
  if (wanted === 'auto') return { accelerator: 'tcg' };
  const next = 'Use --accel tcg to do without, slower.';
  throw new Fault('missing_right', { what: 'Hardware virtualization (--accel kvm)', right: refusal, next });
}

/** The group of /dev/kvm, or what is missing. */
async function kvmRefusal(): Promise<number | string> {
  const [device, cpuinfo] = await Promise.all([
    stat('/dev/kvm').catch(() => undefined),
    readFile('/proc/cpuinfo', 'utf8'),
  ]);
  if (!/^flags\s*:.*\b(vmx|svm)\b/m.test(cpuinfo))
    return 'a processor with VMX or SVM, or nested virtualization where this machine is a VM';
  if (!device) return 'the kernel module kvm_intel or kvm_amd, which makes /dev/kvm';
  const groupMayOpen = (device.mode & 0o060) === 0o060 || (device.mode & 0o006) === 0o006;
  return groupMayOpen ? device.gid : 'a /dev/kvm that its group may open: chgrp kvm /dev/kvm && chmod 660 /dev/kvm';
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
  return (network) => ({
    driver: 'qemu',
    qemu,
    accelerator,
    machine: `${machineTypes[accelerator]};devices=${deviceRevision}`,
    cpu,
    network,
  });
}
