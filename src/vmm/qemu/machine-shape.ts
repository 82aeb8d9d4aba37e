// The machine a guest sees, and the command line that makes it. Everything a snapshot depends on is named here and recorded in its manifest.
import type { Accelerator, MachineSize, Wire } from '../driver.ts';

/** Versioned where QEMU has versions; `microvm` has none, so QEMU's own version is recorded too. */
export const machineTypes: Record<Accelerator, string> = {
  // On `microvm` under TCG the guest has no timer to calibrate the TSC against and does not boot on a loaded host.
  tcg: 'pc-q35-7.2,usb=off,smbus=off,vmport=off,sata=off',
  // The RTC is off by default under KVM; without it the kernel loses seconds in probing.
  kvm: 'microvm,acpi=on,pcie=on,rtc=on',
};

/** Raised whenever a device or one of its options changes: a device state loads only into the devices it was saved from. */
export const deviceRevision = 1;

/** Under TCG `max` is what this QEMU version can emulate, whatever the host; under KVM the host's own model. */
export const cpuModels: Record<Accelerator, string> = { tcg: 'max', kvm: 'host' };

export interface DiskLayer {
  path: string;
  /** Only the last layer of a disk is written. */
  writable: boolean;
  /** Default: qcow2. */
  format?: 'raw';
  /** The lowest layer of one more disk. */
  startsDisk?: true;
}

export interface LaunchPlan {
  binary: string;
  accelerator: Accelerator;
  size: MachineSize;
  /** Name of the memory file, inherited as descriptor 3. */
  shareMemory: boolean;
  /** From the root disk upwards, then those of further disks. Empty: no disk. */
  layers: DiskLayer[];
  /** Room for translated code under TCG, in MiB; default 64. */
  translationMib?: number;
  wire?: Wire;
  runDirectory: string;
  /** Cold boot: what to start. Absent for a restore, which takes its device state from descriptor 4. */
  kernel?: { image: string; initramfs: string; arguments: string };
}

/** Where host/launch leaves the open tap. */
const tapDescriptor = 9;

export const sockets = { qmp: 'qmp.sock', control: 'control.sock', log: 'log.sock', console: 'console.sock' } as const;

/** Arguments of QEMU itself. `-S` always: a state saved by xen-save-devices-state would otherwise run before it is fresh. */
export function qemuArguments(plan: LaunchPlan): string[] {
  const { accelerator, size } = plan;
  const memory = `memory-backend-file,id=m0,size=${size.memoryMib}M,mem-path=/proc/self/fd/3,share=${plan.shareMemory ? 'on' : 'off'}`;
  return [
    ...[
      '-name',
      `waterbear,process=waterbear-vm`,
      '-S',
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-no-reboot',
    ],
    ...['-machine', `${machineTypes[accelerator]},memory-backend=m0,suppress-vmdesc=on,mem-merge=off`],
    ...[
      '-accel',
      accelerator === 'tcg' ? `tcg,tb-size=${plan.translationMib ?? 64}` : 'kvm',
      '-cpu',
      cpuModels[accelerator],
    ],
    ...['-m', `${size.memoryMib}M`, '-smp', String(size.vcpus), '-object', memory],
    ...['-global', 'migration.send-configuration=off'],
    ...['-sandbox', 'on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny'],
    ...channels(plan.runDirectory),
    ...disks(plan.layers),
    ...network(plan.wire),
    ...start(plan),
  ];
}

function channels(directory: string): string[] {
  const socket = (id: string, name: string): string[] => [
    '-chardev',
    `socket,id=${id},path=${directory}/${name},server=on,wait=off`,
  ];
  return [
    ...[...socket('qmp', sockets.qmp), '-mon', 'chardev=qmp,mode=control'],
    ...[...socket('con', sockets.console), '-serial', 'chardev:con'],
    ...['-device', 'virtio-serial-pci,max_ports=3'],
    ...[...socket('ctl', sockets.control), '-device', 'virtserialport,chardev=ctl,name=waterbear.control'],
    ...[...socket('log', sockets.log), '-device', 'virtserialport,chardev=log,name=waterbear.log'],
  ];
}

/** Formats and backing nodes are always explicit: probing raw data or following header paths would be an escape. */
function disks(layers: DiskLayer[]): string[] {
  const nodes = layers.flatMap((layer, i) => {
    const above = i > 0 && !layer.startsDisk;
    const node = {
      driver: layer.format ?? 'qcow2',
      'node-name': `layer${i}`,
      'read-only': !layer.writable,
      file: { driver: 'file', filename: layer.path, 'read-only': !layer.writable },
      ...(layer.format === 'raw' ? {} : { backing: above ? `layer${i - 1}` : null }),
      // What the guest flushes need not reach the disk at once: a VM that dies goes back to its last snapshot, which is synced.
      ...(layer.writable ? { cache: { 'no-flush': true }, discard: 'unmap' } : {}),
    };
    return ['-blockdev', JSON.stringify(node)];
  });
  const tops = layers.flatMap((_, i) => (i === layers.length - 1 || layers[i + 1]?.startsDisk ? [i] : []));
  return [...nodes, ...tops.flatMap((i) => ['-device', `virtio-blk-pci,drive=layer${i}`])];
}

function network(wire: Wire | undefined): string[] {
  if (!wire) return [];
  return [
    ...['-netdev', `tap,id=n0,fd=${tapDescriptor},vhost=off`],
    ...['-device', `virtio-net-pci,netdev=n0,mac=${wire.guestMac},romfile=,guest_announce=off`],
  ];
}

function start(plan: LaunchPlan): string[] {
  if (!plan.kernel) return ['-incoming', 'defer'];
  return ['-kernel', plan.kernel.image, '-initrd', plan.kernel.initramfs, '-append', plan.kernel.arguments];
}
